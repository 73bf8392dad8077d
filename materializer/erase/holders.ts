import { encodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf } from '../../offline/datasets/dataset-manifest.ts'
import { sql } from 'kysely'
import { forgetExposures, forgetLoggedEntity, lockExposures, lockPredictionLog, loggedIds } from './logged-entity.ts'
import { carriersOf, readersOfUserTables, viewsOf } from './carriers.ts'
import { deadLetters, deleteDeadOutcomes } from './dead-letters.ts'
import type { DeletedRows } from './delete-rows.ts'
import { countRows, deleteRows, deleteWhere, isOfEntity } from './delete-rows.ts'
import type { Erasing, Holder, ReceiptPart } from './erasing.ts'
import { pipelineAnswers } from './pipeline-answers.ts'
import { hasColumns, namesPrediction, outcomeRowsOf } from './outcome-rows.ts'

/** The rows in tables that Lockstep made. States of other entities that hold them are rebuilt. */
const ownTables: Holder = async (erasing) => {
  const { entity, values, definitions, db } = erasing
  const parts: ReceiptPart[] = []
  for (const carrier of carriersOf(entity, definitions)) {
    if (!carrier.owned || !(await hasColumns(db, carrier.relation, carrier.columns))) continue
    const { rows, touched } = await deleteRows(db, carrier, entity.key, values, readersOf(carrier.source, erasing))
    parts.push({ what: 'removed', kind: 'rows', where: carrier.relation, count: rows }, ...renewed(touched, erasing))
  }
  return parts
}

function readersOf(source: string, { online }: Erasing): ViewPlan[] {
  return online.filter(({ spec }) => spec.source.relation.kind === 'owned' && spec.source.name === source)
}

function renewed(touched: DeletedRows['touched'], erasing: Erasing): ReceiptPart[] {
  const parts: ReceiptPart[] = []
  for (const [plan, keys] of touched) {
    for (const key of keys) erasing.touch(plan.id, plan.spec.entity.name, key)
    if (plan.spec.entity.name === erasing.entity.name) continue
    const note =
      plan.key.length === 0
        ? 'its aggregates over all rows are recomputed without these rows'
        : 'they contained rows of the entity, and are rebuilt without them'
    parts.push({ what: 'renewed', kind: 'states', where: plan.id, count: keys.size, note })
  }
  return parts
}

/**
 * Predictions of the entity and from it, also where it is one of several entities of a request's row, with the rows of
 * outcomes that name them. The outcomes come first: without the log, nothing shows whose they are.
 */
const loggedPredictions: Holder = async (erasing) => {
  const { entity, values, definitions, db } = erasing
  const key = encodeKey(entity.key, values)
  const ids = loggedIds(entity.name, key)
  // a server that writes to the log waits until this transaction is committed, and then checks its own rows for the
  // entity
  await sql.raw(lockPredictionLog).execute(db.kysely)
  await sql.raw(lockExposures).execute(db.kysely)
  const outcomes = outcomeRowsOf(definitions)
  const parts: ReceiptPart[] = []
  for (const rows of outcomes) {
    if (!rows.owned || !(await hasColumns(db, rows.relation, [rows.column]))) continue
    const deleted = await deleteWhere(db, rows.relation, namesPrediction(rows, ids), readersOf(rows.source, erasing))
    const note = 'outcomes of its logged predictions'
    parts.push({ what: 'removed', kind: 'rows', where: rows.relation, count: deleted.rows, note }, ...renewed(deleted.touched, erasing))
  }
  parts.push(...(await deleteDeadOutcomes(db, [...new Set(outcomes.map(({ source }) => source))], ids)))
  const { numAffectedRows } = await sql.raw(forgetLoggedEntity(entity.name, key)).execute(db.kysely)
  const exposed = await sql.raw(forgetExposures(entity.name, key)).execute(db.kysely)
  const exposures = Number(exposed.numAffectedRows ?? 0)
  if (exposures > 0)
    parts.push({ what: 'removed', kind: 'rows', where: 'lockstep.exposures', count: exposures, note: 'its exposures in experiments' })
  const note = 'logged predictions with their features'
  return [...parts, { what: 'removed', kind: 'rows', where: 'lockstep.prediction_log', count: Number(numAffectedRows ?? 0), note }]
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
  const stored = await storedViews(erasing)
  const note = 'if there was one: the receipt is written before the store is updated'
  return views.filter(({ view }) => stored.has(view)).map(({ view }) => ({ what: 'removed', kind: 'states', where: view, count: 1, note }))
}

/** The views that were ever in a store. Others hold nothing, so the receipt does not list them. */
async function storedViews({ db, online }: Erasing): Promise<ReadonlySet<string>> {
  const runs = await db.kysely.selectFrom('lockstep.materialization_runs').select('view').distinct().execute()
  return new Set([...runs.map(({ view }) => view), ...online.map(({ id }) => id)])
}

/**
 * States that counted the entity's rows in users' tables, in views of other entities. The rows may be deleted by now,
 * so nothing names these states. If their keys contain the erased key, the store is searched for them.
 */
const statesOfUserTables: Holder = async (erasing) => {
  const stored = await storedViews(erasing)
  return readersOfUserTables(erasing.entity, erasing.definitions)
    .filter(({ view }) => stored.has(view))
    .map(({ view, entity, containing }) => {
      if (containing) erasing.search(view, entity)
      return containing
        ? { what: 'removed', kind: 'states', where: view, count: null, note: 'all whose key contains this key' }
        : {
            what: 'kept',
            kind: 'states',
            where: view,
            count: null,
            note: `those that counted its rows: once the rows are deleted, run "lockstep materialize ${view} --rebuild"`,
          }
    })
}

const userTables: Holder = async ({ entity, values, definitions, db }) => {
  const parts: ReceiptPart[] = []
  const count = async (source: string, relation: string, condition: string, note: string): Promise<void> => {
    const rows = await countRows(db, relation, condition).catch((cause: unknown) => {
      if (isTemporary(cause)) throw cause
      throw new LockstepError(
        'SOURCE_MISSING',
        `The rows of the source "${source}" cannot be counted; correct or retire it, and erase again.`,
        { cause },
      )
    })
    const where = relation.startsWith('(') ? `the query of the source "${source}"` : relation
    if (rows > 0) parts.push({ what: 'kept', kind: 'rows', where, count: rows, note })
  }
  const wider = readersOfUserTables(entity, definitions).filter(({ containing }) => containing)
  for (const carrier of carriersOf(entity, definitions)) {
    if (carrier.owned) continue
    const containing = wider.filter(({ source }) => source === carrier.source).map(({ view }) => view)
    const states = containing.length === 0 ? '' : `, and its states in ${containing.join(', ')}`
    const note = `not a table of Lockstep: delete the rows there and erase again, or else they bring the entity back${states}`
    await count(carrier.source, carrier.relation, isOfEntity(carrier, entity.key, values), note)
  }
  const ids = loggedIds(entity.name, encodeKey(entity.key, values))
  for (const rows of outcomeRowsOf(definitions)) {
    if (rows.owned) continue
    const note = 'not a table of Lockstep: outcomes of its logged predictions, which the log no longer has; delete them there'
    await count(rows.source, rows.relation, `s.${namesPrediction(rows, ids)}`, note)
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
export const holders: readonly Holder[] = [
  ownTables,
  deadLetters,
  pipelineAnswers,
  ownStates,
  statesOfUserTables,
  userTables,
  datasets,
  loggedPredictions,
]

function viewsIn(entity: string, definitions: Erasing['definitions']): string[] {
  return definitions.flatMap((definition) =>
    definition.kind === 'view' && definition.spec.entity.name === entity ? [`${definition.name}@${definition.version}`] : [],
  )
}
