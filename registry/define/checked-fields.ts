import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { intervalParts, namesInBraces } from '../../kernel/values/interval-text.ts'
import { parseSchedule } from '../../kernel/schedule.ts'
import { show } from '../../kernel/values/value-type.ts'

// Fields that several kinds of definitions have. TypeScript checks them, JavaScript does not.

/** Refuses names in braces that intervals do not have. */
export function knownParts(text: string, field: string, what: string): string {
  const unknown = namesInBraces(text).find((name) => !intervalParts.includes(name))
  if (unknown === undefined) return text
  const known = intervalParts.map((name) => `{${name}}`).join(', ')
  throw invalid(`${what} has "{${unknown}}" in its ${field}.${didYouMean(unknown, intervalParts)} Intervals have ${known}.`)
}

export function textOf(text: unknown, field: string, what: string): string {
  if (typeof text === 'string' && text.trim() !== '') return text
  throw invalid(`${what} has the ${field} ${show(text)}; write a string.`)
}

export function oneOf<const T extends string>(given: unknown, known: readonly [T, ...T[]], field: string, what: string): T {
  if (given === undefined) return known[0]
  const found = known.find((each) => each === given)
  if (found !== undefined) return found
  throw invalid(`${what} has the ${field} ${show(given)}; write one of ${known.join(', ')}.`)
}

export function scheduleOf(schedule: unknown, what: string): string {
  if (typeof schedule !== 'string')
    throw new LockstepError('INVALID_SCHEDULE', `${what} has the schedule ${show(schedule)}; write five fields of cron, as in '0 2 * * *'.`)
  try {
    return parseSchedule(schedule).text.trim().split(/\s+/).join(' ')
  } catch (cause) {
    throw new LockstepError('INVALID_SCHEDULE', `${what}: ${messageOf(cause)}`, { cause })
  }
}

export function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
