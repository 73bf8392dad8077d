import { statusNames } from '../../kernel/states/state.ts'
import { startTurns } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Role } from '../role.ts'
import { clientRoles } from '../role.ts'
import { ColumnsSummary } from './columns-summary.ts'
import type { Coverage } from './coverage.ts'
import { joinCoverage } from './coverage.ts'
import type { MeasuredPeriod, StoredRollup } from './merged-rollups.ts'
import { RollupMerger, stepMicros } from './merged-rollups.ts'
import type { ModelRollup } from './model-rollup.ts'
import { modelRollup } from './model-rollup.ts'
import { decodeNamed } from './named-rollup.ts'
import type { PartsQuery, RollupWindow, WindowParts } from './read-parts.ts'
import { readParts } from './read-parts.ts'
import type { RollupKey } from './rollup-writer.ts'
import { TrafficSummary } from './traffic-summary.ts'

export type RollupStep = keyof typeof stepMicros

export interface RollupQuery extends RollupWindow {
  readonly model: string
  /** Absent: all. */
  readonly versions?: readonly number[] | undefined
  /** Absent: those of answers that clients got, or all if the answer is by role. */
  readonly roles?: readonly Role[]
}

export interface SeriesQuery extends RollupQuery {
  readonly step: RollupStep
  /** Absent: one line of all versions and roles. */
  readonly by?: 'version' | 'role' | undefined
}

/** A period of a series. */
export interface SeriesPoint {
  /** When the period begins, epoch microseconds. */
  readonly at: number
  /** The version or role that it is of, as the query asks; null: all. */
  readonly of: string | null
  /** null: no server was measured in the period. It is a gap and not a zero. */
  readonly rollup: ModelRollup | null
}

/** Rollups of one window by version and role. */
export interface RollupGroup {
  /** null: all; or 0: no version was chosen. */
  readonly version: number | null
  readonly role: string | null
  readonly rollup: ModelRollup
}

/** All that was answered for a model in a window: exactly the same, however processes, minutes and merges split it. */
export async function readRollup(db: Pick<Database, 'query'>, query: RollupQuery): Promise<ModelRollup> {
  const [all] = await readRollupGroups(db, query, [])
  if (all === undefined) throw new Error('A window has a group.')
  return all.rollup
}

/** As `readRollup`, by version, by role, or by both. Without any, it is one group. */
export async function readRollupGroups(
  db: Pick<Database, 'query'>,
  query: RollupQuery,
  by: readonly ('version' | 'role')[],
): Promise<RollupGroup[]> {
  const groups = groupsOf(query, by)
  return await summaryOf(await readParts(db, partsOf(query), 'day'), groups)
}

/** The traffic of several models by version, without figures of processes: one read of the window has all of it. */
export async function readVersionGroups(
  db: Pick<Database, 'query'>,
  models: readonly string[],
  window: Pick<RollupWindow, 'from' | 'to'>,
): Promise<ReadonlyMap<string, readonly RollupGroup[]>> {
  const summaries = new Map(models.map((model) => [model, groupsOf({ model, ...window }, ['version'])]))
  const add = (row: StoredRollup) => summaries.get(row.model)?.add(row)
  const result: Summary<ReadonlyMap<string, readonly RollupGroup[]>>['result'] = (...measured) =>
    new Map(Array.from(summaries, ([model, each]) => [model, each.result(...measured)]))
  return await summaryOf(await readParts(db, { models, ...window, trafficOnly: true, modelsOnly: true }, 'day'), { add, result })
}

/** A series of answers by minute, hour or day. Every period of the window has a point of each line. */
export async function rollupSeries(db: Pick<Database, 'query'>, query: SeriesQuery): Promise<SeriesPoint[]> {
  const series = seriesOf(query)
  const window = { from: periodOf(query.from, query.step), to: -periodOf(-query.to, query.step) }
  return await summaryOf(await readParts(db, partsOf({ ...query, ...window }), query.step), series)
}

/** How many rows of one column have each status, by minute, hour or day. Every period of the window has a point. */
export async function statusSeries(
  db: Pick<Database, 'query'>,
  { column, step, ...query }: Omit<SeriesQuery, 'by'> & { readonly column: string },
): Promise<{ readonly at: number; readonly statuses: ReadonlyMap<string, number> }[]> {
  const window = { from: periodOf(query.from, step), to: -periodOf(-query.to, step) }
  const parts = await readParts(db, { models: [query.model], ...window, modelsOnly: true, summariesOnly: true }, step)
  const periods = new Map<number, Map<string, number>>()
  for (let at = window.from; at < parts.to; at += stepMicros[step]) periods.set(at, new Map())
  const add = (row: StoredRollup): void => {
    if (row.columns === null || !isAsked(query, row, false)) return
    const counts = periods.get(periodOf(row.at, step))
    const found = ColumnsSummary.someOf(row.columns, (name) => name === column)?.get(column)
    found?.statuses.forEach((count, status) => {
      const name = statusNames[status]
      if (name !== undefined && count > 0) counts?.set(name, (counts.get(name) ?? 0) + count)
    })
  }
  await addRows(parts, add)
  return Array.from(periods, ([at, statuses]) => ({ at, statuses }))
}

/** The answers of a model to clients, without figures of processes. */
export interface ModelTraffic {
  readonly total: TrafficSummary
  /** Ascending. */
  readonly versions: ReadonlyMap<number, TrafficSummary>
  /** By minute. A period is null if no server was measured in it. */
  readonly series: readonly { readonly at: number; readonly version: number | null; readonly traffic: TrafficSummary | null }[]
}

/**
 * The traffic of several models in one window, by model. One read of its minutes has all of it, and each row is decoded
 * once: sums over minutes and versions are made of their minutes.
 *
 * @param byVersion whether the series has a line of each version, or one of all
 */
export async function readTraffic(
  db: Pick<Database, 'query'>,
  { models, ...window }: { readonly models: readonly string[] } & Pick<RollupWindow, 'from' | 'to'>,
  byVersion: boolean,
): Promise<Pick<WindowParts, 'from' | 'to'> & { readonly models: ReadonlyMap<string, ModelTraffic> }> {
  const parts = await readParts(db, { models, ...window, trafficOnly: true, modelsOnly: true }, 'minute')
  /** By model, version and minute. */
  const answered = new Map(models.map((model) => [model, new Map<number, Map<number, TrafficSummary>>()]))
  const add = (row: StoredRollup): void => {
    const versions = answered.get(row.model)
    if (versions === undefined || !isAsked({ model: row.model, ...window }, row, false)) return
    const minutes = versions.get(row.version) ?? new Map<number, TrafficSummary>()
    versions.set(row.version, minutes)
    const at = periodOf(row.at, 'minute')
    const minute = minutes.get(at) ?? new TrafficSummary()
    minutes.set(at, minute)
    minute.mergeEncoded(row.traffic)
  }
  const coverages = await parts.coverage()
  await addRows(parts, add)
  const measured = new Set(coverages.flatMap(({ at, model, coverage }) => (model === '' && coverage.minutes > 0 ? [at] : [])))
  const { from, to } = parts
  const trafficOf = (found: ReadonlyMap<number, ReadonlyMap<number, TrafficSummary>>): ModelTraffic => {
    const versions = [...found].toSorted(([a], [b]) => a - b)
    const series: ModelTraffic['series'][number][] = []
    for (let at = periodOf(from, 'minute'); at < to; at += stepMicros.minute) {
      const own = versions.map(([version, minutes]) => ({ version, traffic: minutes.get(at) ?? noTraffic }))
      for (const { version, traffic } of byVersion ? own : [{ version: null, traffic: sumOf(own.map((each) => each.traffic)) }])
        series.push({ at, version, traffic: measured.has(at) ? traffic : null })
    }
    const sums = new Map(versions.map(([version, minutes]) => [version, sumOf([...minutes.values()])]))
    return { total: sumOf([...sums.values()]), versions: sums, series }
  }
  return { from, to, models: new Map(Array.from(answered, ([model, found]) => [model, trafficOf(found)])) }
}

const noTraffic = new TrafficSummary()

function sumOf(parts: readonly TrafficSummary[]): TrafficSummary {
  const [only] = parts
  if (only !== undefined && parts.length === 1) return only
  const sum = new TrafficSummary()
  for (const part of parts) sum.merge(part)
  return sum
}

function partsOf({ model, from, to, trafficOnly }: RollupQuery): PartsQuery {
  return { models: [model], from, to, trafficOnly }
}

/** Makes an answer of the rows of a window. */
interface Summary<Answer> {
  add(row: StoredRollup): void
  result(parts: WindowParts, coverages: readonly MeasuredPeriod[]): Answer
}

async function summaryOf<Answer>(parts: WindowParts, { add, result }: Summary<Answer>): Promise<Answer> {
  // first, so that a minute that is written meanwhile is not measured and without rows
  const coverages = await parts.coverage()
  await addRows(parts, add)
  return result(parts, coverages)
}

/**
 * Adds the rows of a window. Other work of the process runs in between.
 *
 * @throws LockstepError `ROLLUP_DAMAGED` naming a row that cannot be read
 */
export async function addRows(parts: Pick<WindowParts, 'rows'>, add: (row: StoredRollup) => void): Promise<void> {
  const turns = startTurns()
  for await (const rows of parts.rows) {
    for (const row of rows) {
      if (turns.isOver()) await turns.next()
      decodeNamed(row, add)
    }
  }
}

function groupsOf(query: RollupQuery, by: readonly ('version' | 'role')[]): Summary<RollupGroup[]> {
  const groups = new Map<string, RollupMerger>()
  const ofProcess = new RollupMerger()
  if (by.length === 0) groups.set(groupOf(null, by), new RollupMerger())
  const first = new Map<string, StoredRollup>()
  return {
    add(row) {
      if (row.model === '') ofProcess.add(row)
      else if (isAsked(query, row, by.includes('role'))) {
        const id = groupOf(row, by)
        if (!first.has(id)) first.set(id, row)
        mergerOf(groups, id).add(row)
      }
    },
    result: (parts, coverages) =>
      Array.from(groups, ([id, { traffic, columns }]): RollupGroup => {
        const key = first.get(id)
        const coverage = coverageOf(coverages, (own) => isAsked(query, own, by.includes('role')) && groupOf(own, by) === id)
        return {
          version: by.includes('version') ? (key?.version ?? null) : null,
          role: by.includes('role') ? (key?.role ?? null) : null,
          rollup: modelRollup({ ...boundsOf(parts), coverage }, traffic, columns, ofProcess.traffic),
        }
      }).sort((a, b) => (a.version ?? 0) - (b.version ?? 0) || ((a.role ?? '') < (b.role ?? '') ? -1 : 1)),
  }
}

function seriesOf({ step, by, ...query }: SeriesQuery): Summary<SeriesPoint[]> {
  const size = stepMicros[step]
  const periods = new Map<number, { readonly groups: Map<string, RollupMerger>; readonly ofProcess: RollupMerger }>()
  const lines = new Set<string>(by === undefined ? [''] : [])
  const lineOf = (row: RollupKey) => (by === undefined ? '' : String(row[by]))
  return {
    add(row) {
      const at = periodOf(row.at, step)
      let period = periods.get(at)
      if (period === undefined) periods.set(at, (period = { groups: new Map(), ofProcess: new RollupMerger() }))
      if (row.model === '') period.ofProcess.add(row)
      else if (isAsked(query, row, by === 'role')) {
        lines.add(lineOf(row))
        mergerOf(period.groups, lineOf(row)).add(row)
      }
    },
    result(parts, all) {
      const coverages = Map.groupBy(all, ({ at }) => periodOf(at, step))
      const points: SeriesPoint[] = []
      for (let at = periodOf(parts.from, step); at < parts.to; at += size) {
        const period = periods.get(at)
        for (const line of lines) {
          const isOfLine = (own: RollupKey) => isAsked(query, own, by === 'role') && lineOf(own) === line
          const coverage = coverageOf(coverages.get(at) ?? [], isOfLine)
          const { traffic, columns } = period?.groups.get(line) ?? new RollupMerger()
          const ofProcess = period?.ofProcess.traffic ?? new RollupMerger().traffic
          const rollup = coverage.minutes === 0 ? null : modelRollup({ from: at, to: at + size, coverage }, traffic, columns, ofProcess)
          points.push({ at, of: by === undefined ? null : line, rollup })
        }
      }
      return points
    },
  }
}

function periodOf(at: number, step: RollupStep): number {
  return Math.floor(at / stepMicros[step]) * stepMicros[step]
}

/**
 * A period counts as measured if a server ran, or if it was backfilled.
 *
 * @param isOf whether a backfill's key is meant
 */
function coverageOf(periods: readonly MeasuredPeriod[], isOf: (key: RollupKey) => boolean): Coverage {
  const ofServers = periods.filter(({ model }) => model === '')
  const minutes = new Map<number, number>()
  for (const { at, coverage } of ofServers) minutes.set(at, (minutes.get(at) ?? 0) + coverage.minutes)
  for (const { at, coverage, ...key } of periods)
    if (key.model !== '' && isOf(key)) minutes.set(at, Math.max(minutes.get(at) ?? 0, coverage.minutes))
  const { missing } = joinCoverage(ofServers.map(({ coverage }) => coverage))
  return { minutes: [...minutes.values()].reduce((sum, each) => sum + each, 0), missing }
}

/** Shadows and backfills sent no answer, so they are not part of sums over roles. */
function isAsked(query: RollupQuery, { model, version, role }: RollupKey, isByRole: boolean): boolean {
  const { versions, roles } = query
  const isOf = (asked: readonly Role[]) => asked.some((each) => each === role)
  return (
    model === query.model && (versions?.includes(version) ?? true) && (roles === undefined ? isByRole || isOf(clientRoles) : isOf(roles))
  )
}

function groupOf(row: RollupKey | null, by: readonly ('version' | 'role')[]): string {
  return by.map((part) => String(row?.[part])).join('/')
}

function mergerOf(groups: Map<string, RollupMerger>, id: string): RollupMerger {
  let merger = groups.get(id)
  if (merger === undefined) groups.set(id, (merger = new RollupMerger()))
  return merger
}

function boundsOf({ from, to }: WindowParts): Pick<ModelRollup, 'from' | 'to'> {
  return { from, to }
}
