import { hostname } from 'node:os'
import { parseDuration } from '../../../kernel/values/duration.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import type { ClockOffset } from '../../rollups/clock-offset.ts'
import { offsetText, readClockOffset, readServerClocks, secondsOff } from '../../rollups/clock-offset.ts'
import type { CheckKind, CheckResult } from '../check-kind.ts'

type Spec = CheckOf<'clock'>

const tries = 3

/**
 * Compares the clock of this machine, and those of the servers as they last did it themselves, with that of the
 * database.
 */
export const clock: CheckKind<Spec> = async ({ db, clock: own }, { maxOffset }) => {
  const threshold = parseDuration(maxOffset) / 1e6
  const host = hostname()
  const found = await readClockOffset(db, own, tries)
  const worker = { subject: 'workers', threshold, n: tries }
  const cause = `The clock of "${host}" went backwards meanwhile.`
  const ofWorker: CheckResult =
    found === null
      ? { ...worker, state: 'unknown', value: null, n: 0, evidence: { host }, cause }
      : { ...worker, ...judge(`"${host}"`, found, threshold), evidence: { host, ...secondsOf(found) } }
  const servers = (await readServerClocks(db)).toSorted((a, b) => secondsOff(b) - secondsOff(a))
  const [worst] = servers
  if (worst === undefined) return [ofWorker]
  const off = servers.filter((server) => secondsOff(server) > threshold).map((server) => ({ server: server.process, ...secondsOf(server) }))
  const judged = judge(`the server "${worst.process}"`, worst, threshold)
  const others = off.length > 1 ? ` Those of ${off.length - 1} other servers are wrong, too.` : ''
  const ofServers = { subject: 'servers', threshold, n: servers.length, evidence: { off: off.slice(0, 20) } }
  return [ofWorker, { ...ofServers, ...judged, cause: judged.cause === null ? null : `${judged.cause}${others}` }]
}

function judge(whose: string, found: ClockOffset, threshold: number): Pick<CheckResult, 'state' | 'value' | 'cause'> {
  const value = secondsOff(found)
  if (value <= threshold) return { state: 'ok', value, cause: null }
  return { state: 'breach', value, cause: offsetText(whose, found) }
}

function secondsOf({ offset, error }: ClockOffset) {
  return { offsetSeconds: offset / 1e6, errorSeconds: error / 1e6 }
}
