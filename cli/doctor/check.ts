import { messageOf } from '../../kernel/errors.ts'
import { withTimeout } from '../../runtime/async.ts'

/**
 * - `ok`
 * - `note`: it works, and the user should know something
 * - `wrong`: something must be done
 * - `skipped`: it cannot be checked, because of what another line says
 */
export type CheckVerdict = 'ok' | 'note' | 'wrong' | 'skipped'

/** One line of the report. */
export interface CheckFinding {
  /** What was checked: `database`. */
  readonly check: string
  readonly verdict: CheckVerdict
  /** What was found, and what to do. It holds no password. */
  readonly text: string
}

/** A verdict with its text. */
export type Answer = Omit<CheckFinding, 'check'>

const deadlineMs = 8_000

export const ok = (text: string): Answer => ({ verdict: 'ok', text })
export const note = (text: string): Answer => ({ verdict: 'note', text })
export const wrong = (text: string): Answer => ({ verdict: 'wrong', text })
export const skipped = (text: string): Answer => ({ verdict: 'skipped', text })

/** Runs one check. A failure or a check that does not end is a finding as well. */
export async function findingsOf(
  check: string,
  run: () => Promise<Answer | readonly Answer[]> | Answer | readonly Answer[],
): Promise<CheckFinding[]> {
  try {
    const silent = (): Error => new Error(`There was no answer within ${deadlineMs / 1000} s.`)
    const found = await withTimeout(Promise.resolve().then(run), deadlineMs, silent)
    return (Array.isArray(found) ? (found as readonly Answer[]) : [found as Answer]).map((answer) => ({ check, ...answer }))
  } catch (error) {
    return [{ check, ...wrong(messageOf(error)) }]
  }
}
