import { parseDuration } from '../kernel/values/duration.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'

/**
 * The value of an option, such as `1h30m`, in microseconds.
 *
 * @throws LockstepError `USAGE`
 */
export function durationOption(command: string, option: string, text: string): number {
  try {
    return parseDuration(text, `The option "--${option}"`)
  } catch (error) {
    throw new LockstepError('USAGE', `${messageOf(error)} See "lockstep ${command} --help".`, { cause: error })
  }
}
