import { floorTo } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isOutputColumn, outputColumn } from '../baselines/baseline.ts'
import { clientAndBackfillRoles, clientRoles } from '../role.ts'
import type { ColumnSummary } from './column-summary.ts'
import { ColumnsSummary } from './columns-summary.ts'
import type { StoredRollup } from './merged-rollups.ts'
import { stepMicros } from './merged-rollups.ts'
import type { WindowParts } from './read-parts.ts'
import { readParts } from './read-parts.ts'
import type { RollupStep } from './read-rollups.ts'
import { addRows } from './read-rollups.ts'
import { TrafficSummary } from './traffic-summary.ts'

export interface OverTimeQuery {
  readonly model: string
  /** Epoch microseconds, [from, to); `from` is the begin of a period. */
  readonly from: number
  readonly to: number
  readonly step: Exclude<RollupStep, 'minute'>
  /** Leaves out what came after `to`: where minutes are no longer kept, all after the last complete hour or day. */
  readonly isPast: boolean
}

/** The answers of one version in a period. */
export interface VersionPeriod {
  /** The answers that clients got. */
  readonly traffic: TrafficSummary
  /** By name of the output: of rows that clients got or that a backfill logged. */
  readonly outputs: Map<string, ColumnSummary>
}

/** The answers of a model by hour or day, without its features and the bins of its outputs. */
export interface OutputsOverTime {
  /** Epoch microseconds, [from, to). */
  readonly from: number
  readonly to: number
  /** When each period begins, ascending, and whether a server was measured in it. */
  readonly periods: readonly { readonly at: number; readonly isMeasured: boolean }[]
  /** By version, ascending, and by the begin of the period. 0: requests that failed before a version was chosen. */
  readonly versions: ReadonlyMap<number, ReadonlyMap<number, VersionPeriod>>
  /** Rows behind the outputs, those whose values were taken, and those that a backfill logged. */
  readonly rows: number
  readonly sampledRows: number
  readonly backfilledRows: number
}

/** One read of the stored rollups has all of it. Of the columns, only outputs are decoded. */
export async function outputsOverTime(db: Pick<Database, 'query'>, query: OverTimeQuery): Promise<OutputsOverTime> {
  const { model, from, step } = query
  const parts = await readUntil(db, query)
  const versions = new Map<number, Map<number, VersionPeriod>>()
  const backfilled = new TrafficSummary()
  const add = (row: StoredRollup): void => {
    if (row.model !== model || !clientAndBackfillRoles.some((role) => role === row.role)) return
    const periods = versions.get(row.version) ?? new Map<number, VersionPeriod>()
    versions.set(row.version, periods)
    const at = floorTo(row.at, stepMicros[step])
    const period = periods.get(at) ?? { traffic: new TrafficSummary(), outputs: new Map() }
    periods.set(at, period)
    const isOfClients = clientRoles.some((role) => role === row.role)
    if (!(isOfClients ? period.traffic : backfilled).mergeEncoded(row.traffic)) return
    for (const [name, column] of (row.columns === null ? null : ColumnsSummary.someOf(row.columns, isOutputColumn)) ?? []) {
      const output = name.slice(outputColumn('').length)
      const own = period.outputs.get(output)
      if (own === undefined) period.outputs.set(output, column)
      else own.merge(column)
    }
  }
  // first, so that a minute that is written meanwhile is not measured and without rows
  const coverages = await parts.coverage()
  await addRows(parts, add)
  const measured = new Set(
    coverages.flatMap(({ at, model: of, coverage }) => (of === '' && coverage.minutes > 0 ? [floorTo(at, stepMicros[step])] : [])),
  )
  const periods: { readonly at: number; readonly isMeasured: boolean }[] = []
  for (let at = from; at < parts.to; at += stepMicros[step]) periods.push({ at, isMeasured: measured.has(at) })
  const traffics = [backfilled, ...[...versions.values()].flatMap((of) => [...of.values()].map(({ traffic }) => traffic))]
  return {
    from,
    to: parts.to,
    periods,
    versions: new Map([...versions].toSorted(([a], [b]) => a - b)),
    rows: traffics.reduce((sum, traffic) => sum + traffic.rows, 0),
    sampledRows: traffics.reduce((sum, traffic) => sum + traffic.sampledRows, 0),
    backfilledRows: backfilled.rows,
  }
}

async function readUntil(db: Pick<Database, 'query'>, { model, from, to, step, isPast }: OverTimeQuery): Promise<WindowParts> {
  const read = (end: number) => readParts(db, { models: [model], from, to: end, modelsOnly: true, summariesOnly: true }, step)
  if (!isPast) return await read(to)
  let parts = await read(floorTo(to, stepMicros.minute))
  for (const size of [stepMicros.hour, stepMicros.day]) if (parts.to > to) parts = await read(floorTo(to, size))
  return parts
}
