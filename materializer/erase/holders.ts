import { encodeKey } from '../../kernel/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Scalar } from '../../kernel/value-type.ts'
import type { DatasetManifest } from '../../offline/dataset-manifest.ts'
import { filesOf } from '../../offline/dataset-manifest.ts'
import { tableColumns } from '../../runtime/relation.ts'
import { sql } from 'kysely'
import { forgetLoggedEntity, lockPredictionLog } from './logged-entity.ts'
import { carriersOf, viewsOf } from './carriers.ts'
import { countRows, deleteRows } from './delete-rows.ts'
import type { Erasing, Holder, ReceiptPart } from './erasing.ts'

/** The rows in tables that Lockstep made. States of other entities that hold them are rebuilt. */
const ownTables: Holder = async (erasing) => {
  const { entity, values, definitions, online, db } = erasing
  const parts: ReceiptPart[] = []
  for (const carrier of carriersOf(entity, definitions)) {
    if (!carrier.owned || !(await hasColumns(erasing, carrier.relation, carrier.columns))) continue
    const readers = online.filter(({ spec }) => spec.source.relation.kind === 'owned' && spec.source.name === carrier.source)
    const { rows, touched } = await deleteRows(db, carrier, entity.key, values, readers)
    parts.push({ what: 'removed', kind: 'rows', where: carrier.relation, count: rows })
    for (const [plan, keys] of touched) {
      for (const key of keys) erasing.touch(plan.id, plan.spec.entity.name, key)
      if (plan.spec.entity.name === entity.name) continue
      const note =
        plan.key.length === 0
          ? 'its aggregates over all rows are recomputed without these rows'
          : 'they contained rows of the entity, and are rebuilt without them'
      parts.push({ what: 'renewed', kind: 'states', where: plan.id, count: keys.size, note })
    }
  }
  return parts
}

/**
 * Dead letters of streams. Removes each message of a source that carries the entity if its text contains all parts of
 * the key, or if it is cut off or not text.
 */
const deadLetters: Holder = async ({ entity, values, definitions, db }) => {
  const sources = [...new Set(carriersOf(entity, definitions).map(({ source }) => source))]
  if (sources.length === 0) return []
  const rows = await db.kysely
    .selectFrom('lockstep.stream_dead_letters')
    .select(['id', 'body', 'size_bytes'])
    .where('source', 'in', sources)
    .execute()
  const words = values.map((value, i) => Buffer.from(entity.key[i]?.type.kind === 'timestamp' ? '' : (value as Scalar).toString()))
  const hits = rows.filter(
    ({ body, size_bytes: size }) => body === null || body.length !== size || words.every((word) => body.includes(word)),
  )
  if (hits.length === 0) return []
  const ids = hits.map(({ id }) => id)
  await db.kysely.deleteFrom('lockstep.stream_dead_letters').where('id', 'in', ids).execute()
  return [
    {
      what: 'removed',
      kind: 'rows',
      where: 'lockstep.stream_dead_letters',
      count: hits.length,
      note: 'messages that may contain the key',
    },
  ]
}

/** Predictions of the entity and from it, also where it is one of several entities of a request's row. */
const loggedPredictions: Holder = async ({ entity, values, db }) => {
  // a server that writes to the log waits until this transaction is committed, and then checks its own rows for the
  // entity
  await sql.raw(lockPredictionLog).execute(db.kysely)
  const { numAffectedRows } = await sql.raw(forgetLoggedEntity(entity.name, encodeKey(entity.key, values))).execute(db.kysely)
  const count = Number(numAffectedRows ?? 0)
  return [
    {
      what: 'removed',
      kind: 'rows',
      where: 'lockstep.prediction_log',
      count,
      note: 'logged predictions with their features',
    },
  ]
}

/** Its own state in every version of every view, including retired views that are not removed yet. */
const ownStates: Holder = async (erasing) => {
  const views = viewsOf(erasing.entity, erasing.values, erasing.definitions)
  for (const { view, key } of views) {
    erasing.touch(view, erasing.entity.name, key)
    // the record of an entity that was set aside names its key
    await erasing.db.kysely
      .deleteFrom('lockstep.set_aside')
      .where('view', '=', view)
      .where('key', '=', Buffer.from(key, 'latin1'))
      .execute()
  }
  // a view that was never in a store holds nothing, so the receipt does not list it
  const runs = await erasing.db.kysely.selectFrom('lockstep.materialization_runs').select('view').distinct().execute()
  const stored = new Set([...runs.map(({ view }) => view), ...erasing.online.map(({ id }) => id)])
  const note = 'if there was one: the receipt is written before the store is updated'
  return views.filter(({ view }) => stored.has(view)).map(({ view }) => ({ what: 'removed', kind: 'states', where: view, count: 1, note }))
}

const userTables: Holder = async ({ entity, values, definitions, db }) => {
  const parts: ReceiptPart[] = []
  for (const carrier of carriersOf(entity, definitions)) {
    if (carrier.owned) continue
    const rows = await countRows(db, carrier, entity.key, values).catch((cause: unknown) => {
      throw new LockstepError(
        'SOURCE_MISSING',
        `The rows of the source "${carrier.source}" cannot be counted; correct or retire it, and erase again.`,
        { cause },
      )
    })
    if (rows === 0) continue
    const where = carrier.relation.startsWith('(') ? `the query of the source "${carrier.source}"` : carrier.relation
    const note = 'not a table of Lockstep: delete the rows there and erase again, or else they bring the entity back'
    parts.push({ what: 'kept', kind: 'rows', where, count: rows, note })
  }
  return parts
}

/** Files that were written before may hold it, and may be anywhere. */
const datasets: Holder = async ({ entity, definitions, db }) => {
  const views = new Set(viewsIn(entity.name, definitions))
  const rows = await db.kysely.selectFrom('lockstep.datasets').select(['id', 'path', 'manifest']).orderBy('created_at').execute()
  return rows.flatMap(({ id, path, manifest }, i) => {
    const { views: used, ...rest } = manifest as DatasetManifest // only createDataset writes these
    if (!used.some((view) => views.has(view.id))) return []
    const count = filesOf({ views: used, ...rest }).reduce((sum, file) => sum + file.rows, 0)
    const over = rows.slice(i + 1).some((later) => later.path === path)
    const note = over
      ? 'a later one overwrote it under the same path, unless that was on another machine'
      : 'it has features of this kind of entity; check the file for rows of this one'
    return [{ what: 'kept' as const, kind: 'dataset' as const, where: path, id, count, note }]
  })
}

/**
 * The order matters: places that name rows of the entity come before those derived from them, and the one that blocks
 * others comes last.
 */
export const holders: readonly Holder[] = [ownTables, deadLetters, ownStates, userTables, datasets, loggedPredictions]

function viewsIn(entity: string, definitions: Erasing['definitions']): string[] {
  return definitions.flatMap((definition) =>
    definition.kind === 'view' && definition.spec.entity.name === entity ? [`${definition.name}@${definition.version}`] : [],
  )
}

async function hasColumns({ db }: Erasing, relation: string, columns: readonly string[]): Promise<boolean> {
  const query = async <Row>(text: string) => (await sql.raw<Row>(text).execute(db.kysely)).rows
  const present = await tableColumns({ query }, relation)
  return present !== null && columns.every((column) => present.some(({ name }) => name === column))
}
