import { maxSecondsOff } from '../../monitoring/rollups/clock-offset.ts'
import { duration } from '../text/human.ts'
import type { Answer } from './check.ts'
import { note, ok, wrong } from './check.ts'

const noticedMs = 500

/**
 * @param skewMs another clock minus this machine's
 * @param errorMs how wrong that may be
 */
export function skewAnswer(whose: string, skewMs: number, errorMs = 0): Answer {
  const least = Math.max(0, Math.abs(skewMs) - errorMs)
  const text = `The clock of ${whose} is ${duration(Math.abs(skewMs))} ${skewMs < 0 ? 'behind' : 'ahead of'} this machine's`
  if (least >= maxSecondsOff * 1000) return wrong(`${text}. Rows then count too early or too late. Synchronize both by NTP.`)
  return least >= noticedMs ? note(`${text}.`) : ok(`The clock of ${whose} agrees with this machine's.`)
}
