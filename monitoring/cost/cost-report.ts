import { messageOf } from '../../kernel/errors.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { OnlineStore, StoreSizes } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sourceTableName } from '../../runtime/postgres/relation.ts'
import { readServedAges } from '../freshness/served-ages.ts'
import type { ModelRollup } from '../rollups/model-rollup.ts'
import type { RollupGroup } from '../rollups/read-rollups.ts'
import { readRollup, readVersionGroups } from '../rollups/read-rollups.ts'
import { noModel } from '../rollups/rollup-writer.ts'
import type { Window } from '../window.ts'
import { windowJson } from '../window.ts'

export interface ModelCost {
  readonly model: string
  /** Answered and failed. */
  readonly requests: number
  readonly rows: number
  /** Rows that the prediction cache answered. */
  readonly cacheHits: number
  /** Its part of `cpuSeconds`, an estimate. */
  readonly cpuSeconds: number
  /** null: no row was answered. */
  readonly cpuMicrosPerRow: number | null
  readonly versions: number
  /** The size of the files of all versions, in the database. */
  readonly fileBytes: number
}

export interface ViewCost {
  readonly view: string
  /** Entities with a state in the online store; null: the store did not answer, or the view is not online. */
  readonly states: number | null
  /** The size of these states, with their keys. */
  readonly bytes: number | null
  /** Rows of predictions that read it in the window. */
  readonly rows: number
  /** How many answers from it were looked at in the window, those of feature reads as well: one read in 16. */
  readonly answersSeen: number
  /** Models with a version that reads it. */
  readonly models: readonly string[]
  /** Services that read it. */
  readonly services: readonly string[]
}

/** A table in the database: that of a source, or one of Lockstep's own. */
export interface TableCost {
  readonly table: string
  /** With indexes. */
  readonly bytes: number
}

export interface Unused {
  readonly kind: 'model' | 'view'
  readonly name: string
  readonly why: string
}

export interface CostReport {
  /** RFC 3339 */
  readonly from: string
  readonly to: string
  /** Minutes of the window in which a server was measured. */
  readonly measuredMinutes: number
  /** Processor time of all server processes, for whatever they did. */
  readonly cpuSeconds: number
  /** By processor time, the greatest first. */
  readonly models: readonly ModelCost[]
  /** By bytes, the greatest first. */
  readonly views: readonly ViewCost[]
  readonly online: {
    /** From how many keys the figures of views are estimated; null: they are of all keys. */
    readonly sampledKeys: number | null
    /** Why there are no sizes; null: there are. */
    readonly failure: string | null
  }
  /** The greatest first. */
  readonly tables: readonly TableCost[]
  /** Models and views that nothing read in the window. */
  readonly unused: readonly Unused[]
}

export interface CostSources {
  readonly db: Pick<Database, 'query'>
  readonly catalog: Catalog
  /** A store that is down hides its own figures only. */
  readonly store: () => OnlineStore | Promise<OnlineStore>
}

/**
 * What models, views and tables cost, and what nothing uses. It reads stored rollups, the sizes of tables, and the
 * online store (`OnlineStore.sizes`).
 *
 * The processor time of servers is known by process only. A model's part is the time that its requests took without
 * waiting for features and for a run, as an estimate. If these times exceed the processor time, as on a busy machine,
 * they are reduced in proportion. The rest is other work: feature reads, health checks, what a process does when idle.
 *
 * @param window epoch microseconds; rollups widen it to minutes, hours or days
 */
export async function costReport({ db, catalog, store }: CostSources, window: Window): Promise<CostReport> {
  const processes = await readRollup(db, { model: noModel.model, ...window, trafficOnly: true })
  const { from, to, cpuSeconds, coverage } = processes
  const groups = await readVersionGroups(db, [...catalog.models.keys()], window)
  const ages = await readServedAges(db, { from, to })
  const online = await onlineSizes(store, [...catalog.online])
  const views = Array.from(catalog.views.keys(), (view) =>
    viewCost(catalog, groups, view, online.sizes, ages.byView.get(view)?.answers ?? 0),
  )
  const models = splitCpu(catalog, groups, cpuSeconds)
  return {
    ...windowJson({ from, to }),
    measuredMinutes: coverage.minutes,
    cpuSeconds,
    models: models.toSorted((a, b) => b.cpuSeconds - a.cpuSeconds || b.rows - a.rows),
    views: views.toSorted((a, b) => (b.bytes ?? -1) - (a.bytes ?? -1)),
    online: { sampledKeys: online.sizes?.sampled ?? null, failure: online.failure },
    tables: await tableSizes(db, catalog),
    unused: [...unusedModels(models), ...unusedViews(views, catalog)],
  }
}

async function onlineSizes(
  store: CostSources['store'],
  views: readonly DefinitionId[],
): Promise<{ readonly sizes: StoreSizes | null; readonly failure: string | null }> {
  try {
    return { sizes: await (await store()).sizes(views), failure: null }
  } catch (error) {
    return { sizes: null, failure: messageOf(error) }
  }
}

function splitCpu({ models }: Catalog, groups: ReadonlyMap<string, readonly RollupGroup[]>, cpuSeconds: number): ModelCost[] {
  const rollupsOf = (model: string) => (groups.get(model) ?? []).map(({ rollup }) => rollup)
  const busy = new Map(Array.from(models.keys(), (name) => [name, sumOf(rollupsOf(name), busyMs) / 1000]))
  const total = sumOf([...busy.values()], (each) => each)
  const part = total === 0 ? 0 : Math.min(1, cpuSeconds / total)
  return Array.from(models.values(), ({ name, versions }) => {
    const rollups = rollupsOf(name)
    const rows = sumOf(rollups, (each) => each.rows)
    const own = (busy.get(name) ?? 0) * part
    return {
      model: name,
      requests: sumOf(rollups, ({ requests }) => requests),
      rows,
      cacheHits: sumOf(rollups, ({ cacheHits }) => cacheHits),
      cpuSeconds: own,
      cpuMicrosPerRow: rows === 0 ? null : (own * 1e6) / rows,
      versions: versions.length,
      fileBytes: sumOf(versions, ({ sizeBytes }) => sizeBytes),
    }
  })
}

function sumOf<T>(all: readonly T[], of: (each: T) => number): number {
  return all.reduce((sum, each) => sum + of(each), 0)
}

/** How long requests took, without waiting. */
function busyMs({ latency }: ModelRollup): number {
  const sum = (stage: keyof typeof latency) => (latency[stage].mean() ?? 0) * latency[stage].count
  return Math.max(0, sum('total') - sum('features') - sum('wait'))
}

function viewCost(
  catalog: Catalog,
  groups: ReadonlyMap<string, readonly RollupGroup[]>,
  view: DefinitionId,
  sizes: StoreSizes | null,
  answersSeen: number,
): ViewCost {
  const services = [...catalog.services.values()].filter(({ uses }) => uses.some((use) => use.plan.id === view)).map(({ id }) => id)
  const readers = [...catalog.models.values()].map(({ name, versions }) => ({
    name,
    versions: new Set(versions.filter(({ service }) => services.includes(service)).map(({ version }) => version)),
  }))
  const size = sizes?.byView.get(view)
  return {
    view,
    states: size?.states ?? null,
    bytes: size?.bytes ?? null,
    rows: sumOf(readers, (reader) =>
      sumOf(groups.get(reader.name) ?? [], ({ version, rollup }) => (version !== null && reader.versions.has(version) ? rollup.rows : 0)),
    ),
    answersSeen,
    models: readers.filter(({ versions }) => versions.size > 0).map(({ name }) => name),
    services,
  }
}

/** Partitions count for their table. */
async function tableSizes(db: Pick<Database, 'query'>, { sources }: Catalog): Promise<TableCost[]> {
  const found = await db.query<{ readonly name: string; readonly bytes: string | null }>(
    `SELECT oid::regclass::text AS name, CASE relkind WHEN 'p' THEN (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(oid))
                                            ELSE pg_total_relation_size(oid) END::text AS bytes
     FROM pg_class
     WHERE relkind IN ('r', 'p', 'm', 'f') AND NOT relispartition
       AND (relnamespace = to_regnamespace('lockstep') OR oid = ANY (SELECT to_regclass(each) FROM unnest($1::text[]) AS each))`,
    [[...sources.values()].flatMap((source) => sourceTableName(source) ?? [])],
  )
  return found.map(({ name, bytes }) => ({ table: name, bytes: Number(bytes ?? 0) })).toSorted((a, b) => b.bytes - a.bytes)
}

function unusedModels(models: readonly ModelCost[]): Unused[] {
  return models.filter(({ requests }) => requests === 0).map(({ model }) => ({ kind: 'model', name: model, why: 'no request was counted' }))
}

/** Only views that are online: others cost nothing but their source. */
function unusedViews(views: readonly ViewCost[], { online }: Catalog): Unused[] {
  const kept = new Set<string>(online)
  return views.flatMap(({ view, rows, answersSeen, services }): Unused[] => {
    if (!kept.has(view) || rows > 0 || answersSeen > 0) return []
    return [{ kind: 'view', name: view, why: services.length === 0 ? 'no service reads it' : 'no answer was made from it' }]
  })
}
