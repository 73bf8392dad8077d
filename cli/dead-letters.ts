import { LockstepError } from '../kernel/errors.ts'
import type { KeptLetter } from '../materializer/streams/dead-letters.ts'
import { readDeadLetters } from '../materializer/streams/dead-letters.ts'
import type { Database } from '../runtime/database.ts'
import { reasonOption } from './actor.ts'
import type { Argument, Option } from './command.ts'
import type { Input } from './input.ts'

/** The arguments and options that choose dead letters. */
export const letterArguments: readonly Argument[] = [
  { name: 'ID', help: 'The ids, as "lockstep dead-letter list" shows them.', takes: 'many' },
]
export const letterOptions: Readonly<Record<string, Option>> = {
  source: { value: 'SOURCE', help: 'All dead letters of this source.' },
  all: { help: 'All dead letters of all sources.' },
  reason: reasonOption,
}

/**
 * The dead letters that a command line chooses.
 *
 * @throws LockstepError `USAGE` where it chooses none, or in more than one way; `NOT_FOUND` naming an id that does not
 * exist
 */
export async function chosenLetters(db: Database, input: Input): Promise<KeptLetter[]> {
  const [given, source, all] = [input.arguments('ID'), input.text('source'), input.flag('all')]
  if ([given.length > 0, source !== undefined, all].filter(Boolean).length !== 1) {
    throw new LockstepError('USAGE', 'Name the dead letters: give ids, or "--source SOURCE", or "--all".')
  }
  if (given.length === 0) return await readDeadLetters(db, source === undefined ? {} : { source })
  return await lettersOf(db, given)
}

/** @throws LockstepError `USAGE` for an invalid id, `NOT_FOUND` for one that does not exist */
export async function lettersOf(db: Database, given: readonly string[]): Promise<KeptLetter[]> {
  const ids = given.map((id) => {
    if (/^[1-9]\d{0,14}$/.test(id)) return Number(id)
    throw new LockstepError('USAGE', `"${id}" is not the id of a dead letter; "lockstep dead-letter list" shows the ids.`)
  })
  const letters = await readDeadLetters(db, { ids })
  const missing = ids.find((id) => letters.every((letter) => letter.id !== id))
  if (missing === undefined) return letters
  throw new LockstepError('NOT_FOUND', `There is no dead letter "${missing}"; "lockstep dead-letter list" shows the existing ones.`)
}

/** A dead letter as `--json` prints it, without its message. */
export function letterJson({ id, source, stream, message, reason, error, sizeBytes, body, at }: KeptLetter) {
  return { id, source, stream, message, reason, error, at, sizeBytes, cutOff: body !== null && body.length !== sizeBytes }
}
