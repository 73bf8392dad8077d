import type { TrafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import { trafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import type { Ask } from '../read-model.ts'
import { errorsOf, rounded, spanText } from './traffic-charts.ts'

const hourMicros = 3_600_000_000

/** What each version of a model answered in the last hour before the page's moment. */
export async function versionTraffic({ db, now }: Pick<Ask, 'db' | 'now'>, name: string): Promise<TrafficStatistics> {
  const found = (await trafficStatistics(db, { models: [name], from: now - hourMicros, to: now, byVersion: true })).get(name)
  if (found === undefined) throw new Error('Each model that is asked for has statistics.')
  return found
}

export interface VersionRequests {
  /** All that were sent to the version. */
  readonly requests: number
  /** Those that it failed. */
  readonly failed: number
  /** Those that it failed and the champion answered: clients got no error. */
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
  if (found === null || found.requests === 0) return `Version ${version} got no request${span}.`
  const { requests, failed, bypassed } = found
  const p99 = traffic.groups.find((group) => group.version === version)?.latencyMs.total.p99 ?? null
  const instead =
    bypassed === 0
      ? ''
      : bypassed === failed
        ? ': the champion answered in its place'
        : `, of which the champion answered ${count(bypassed)}`
  const time = p99 === null ? '' : ` It answered 99 of 100 within ${rounded(p99)} ms.`
  return `Version ${version} failed on ${failed === 0 ? 'none' : count(failed)} of ${count(requests)} ${requests === 1 ? 'request' : 'requests'}${span}${instead}.${time}`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
