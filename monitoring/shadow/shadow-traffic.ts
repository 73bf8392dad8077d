import type { Database } from '../../runtime/postgres/database.ts'
import type { LatencyHistogram } from '../rollups/latency-histogram.ts'
import type { ModelRollup } from '../rollups/model-rollup.ts'
import { readRollupGroups } from '../rollups/read-rollups.ts'

/** Milliseconds of a stage; null: nothing was measured. */
export interface StageTimes {
  readonly p50: number | null
  readonly p99: number | null
}

export interface VersionTimes {
  readonly version: number
  readonly role: string
  /** Requests that were answered. */
  readonly requests: number
  readonly rows: number
  readonly features: StageTimes
  readonly run: StageTimes
}

/** The measurements of servers for a shadow and for the version that answered, in complete minutes. */
export interface ShadowTraffic {
  readonly shadow: VersionTimes
  /** Parts of requests that were dropped because a server had no time for them. */
  readonly dropped: number
  /** Parts of requests that failed in the shadow, by error code. */
  readonly errors: Readonly<Record<string, number>>
  readonly answered: readonly VersionTimes[]
}

/** @param query epoch microseconds, [from, to) */
export async function readShadowTraffic(
  db: Database,
  { model, version, from, to }: { readonly model: string; readonly version: number; readonly from: number; readonly to: number },
): Promise<ShadowTraffic | null> {
  const groups = await readRollupGroups(db, { model, from, to }, ['version', 'role'])
  const shadow = groups.find((group) => group.role === 'shadow' && group.version === version)
  if (shadow === undefined) return null
  const { OVERLOADED: dropped = 0, ...errors } = Object.fromEntries(shadow.rollup.errors)
  return {
    shadow: timesOf(version, 'shadow', shadow.rollup),
    dropped,
    errors,
    answered: groups.flatMap(({ version: own, role, rollup }) =>
      own === null || own === 0 || role === null || role === 'shadow' ? [] : [timesOf(own, role, rollup)],
    ),
  }
}

function timesOf(version: number, role: string, { requests, rows, errors, latency }: ModelRollup): VersionTimes {
  const failed = [...errors.values()].reduce((sum, count) => sum + count, 0)
  return { version, role, requests: requests - failed, rows, features: stageTimes(latency.features), run: stageTimes(latency.run) }
}

function stageTimes(histogram: LatencyHistogram): StageTimes {
  const at = (quantile: number) => {
    const ms = histogram.quantile(quantile)
    return ms !== null && Number.isFinite(ms) ? ms : null
  }
  return { p50: at(0.5), p99: at(0.99) }
}
