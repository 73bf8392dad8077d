import { dayMicros, floorTo, hourMicros, minuteMicros } from '../../../kernel/values/time.ts'
import type { TrafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import { trafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import type { Ask } from '../read-model.ts'
import { errorsOf, msText, spanText } from './traffic-charts.ts'

const periods = [minuteMicros, hourMicros, dayMicros] as const

/**
 * What models answered in the last hour before the page's moment. Of a past moment, the minute that was not over is
 * left out, so that nothing counts that came later. Where minutes are no longer kept, it is the last complete hour or
 * day.
 */
export async function recentTraffic(
  { db, now, isPast }: Pick<Ask, 'db' | 'now' | 'isPast'>,
  models: readonly string[],
  byVersion: boolean,
): Promise<ReadonlyMap<string, TrafficStatistics>> {
  const read = (from: number, to: number) => trafficStatistics(db, { models, from, to, byVersion })
  if (!isPast) return await read(now - hourMicros, now)
  let found: ReadonlyMap<string, TrafficStatistics> = new Map()
  for (const period of periods) {
    const to = floorTo(now, period)
    found = await read(to - Math.max(hourMicros, period), to)
    if ([...found.values()].every((each) => Date.parse(each.to) * 1000 <= to)) break
  }
  return found
}

/** The answers of each version of a model in that hour. */
export async function versionTraffic(ask: Pick<Ask, 'db' | 'now' | 'isPast'>, name: string): Promise<TrafficStatistics> {
  const found = (await recentTraffic(ask, [name], true)).get(name)
  if (found === undefined) throw new Error('Each model that is asked for has statistics.')
  return found
}

export interface VersionRequests {
  /** All that were sent to the version. */
  readonly requests: number
  /** Requests that failed. */
  readonly failed: number
  /** Requests on which the version failed and the champion answered: clients got no error. */
  readonly bypassed: number
}

/** null: no request was sent to the version. */
export function requestsOf({ groups }: TrafficStatistics, version: number): VersionRequests | null {
  const found = groups.find((group) => group.version === version)
  if (found === undefined) return null
  const bypassed = errorsOf(found.bypassed)
  // the champion's requests have those that it answered
  return { requests: found.requests + bypassed, failed: errorsOf(found.errors) + bypassed, bypassed }
}

/** Which versions failed requests that the champion answered. Each sentence begins with a space. */
export function bypassedText(traffic: TrafficStatistics): string {
  const sentences = traffic.groups.map(({ version }) => {
    const found = version === null ? null : requestsOf(traffic, version)
    if (found === null || found.bypassed === 0) return ''
    return ` Version ${version} failed on ${count(found.bypassed)} of ${count(found.requests)} requests: the champion answered in its place.`
  })
  return sentences.join('')
}

/** The newest figures of a version, for somebody who is about to promote it. */
export function versionEvidence(traffic: TrafficStatistics, version: number): string {
  const found = requestsOf(traffic, version)
  const span = spanText(traffic)
  if (found === null || found.requests === 0) return `No request of version ${version} was counted${span}.`
  const { requests, failed, bypassed } = found
  const p99 = traffic.groups.find((group) => group.version === version)?.latencyMs.total.p99 ?? null
  const instead =
    bypassed === 0
      ? ''
      : bypassed === failed
        ? ': the champion answered in its place'
        : `, of which the champion answered ${count(bypassed)}`
  const time = p99 === null ? '' : ` It answered 99 of 100 within ${msText(p99)}.`
  return `Version ${version} failed on ${failed === 0 ? 'none' : count(failed)} of ${count(requests)} ${requests === 1 ? 'request' : 'requests'}${span}${instead}.${time}`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
