import type { LockstepError } from '../kernel/errors.ts'
import { asLockstepError } from '../runtime/postgres/postgres-unavailable.ts'

export interface FailedOne {
  readonly name: string
  readonly error: LockstepError
}

export interface InTurn<Done> {
  readonly done: readonly Done[]
  readonly failed: readonly FailedOne[]
  /** The command was stopped. `left`: the names of those that are not done, that under way first. */
  readonly stopped: { readonly error: LockstepError; readonly left: readonly string[] } | null
}

/**
 * Works on things one after the other. One that fails does not stop the others. If the command is stopped, the results
 * so far are returned.
 *
 * @throws LockstepError what the only one fails with, and what would fail all: a store or the server is unavailable
 */
export async function eachInTurn<Thing, Done>(
  things: readonly Thing[],
  { nameOf, signal, work }: { readonly nameOf: (thing: Thing) => string; readonly signal: AbortSignal; work(thing: Thing): Promise<Done> },
): Promise<InTurn<Done>> {
  const done: Done[] = []
  const failed: FailedOne[] = []
  for (const [i, thing] of things.entries()) {
    try {
      signal.throwIfAborted()
      done.push(await work(thing))
    } catch (error) {
      const known = asLockstepError(error)
      if (things.length === 1) throw error
      if (signal.aborted) {
        const stop = known.code === 'STOPPED' ? known : asLockstepError(signal.reason)
        return { done, failed, stopped: { error: stop, left: things.slice(i).map(nameOf) } }
      }
      if (isUnavailable(known)) throw error
      failed.push({ name: nameOf(thing), error: known })
    }
  }
  return { done, failed, stopped: null }
}

/** The lines about those that failed, and those that are left. */
export function notDoneLines({ failed, stopped }: Pick<InTurn<unknown>, 'failed' | 'stopped'>): string[] {
  const line = (what: string, names: string, { code, message }: LockstepError) => `${what}: ${names}: ${code}: ${message}`
  return [
    ...failed.map(({ name, error }) => line('failed', name, error)),
    ...(stopped === null ? [] : [line('not done', stopped.left.join(', '), stopped.error)]),
  ]
}

/** The same in JSON. `stopped` is null unless the command was stopped. */
export function notDoneJson(
  { failed, stopped }: Pick<InTurn<unknown>, 'failed' | 'stopped'>,
  name: string,
): { readonly failed: readonly object[]; readonly stopped: object | null } {
  const json = ({ code, message, details }: LockstepError) => ({ code, message, details })
  return {
    failed: failed.map((each) => ({ [name]: each.name, ...json(each.error) })),
    stopped: stopped === null ? null : { left: stopped.left, ...json(stopped.error) },
  }
}

function isUnavailable({ code }: LockstepError): boolean {
  return code === 'POSTGRES_UNAVAILABLE' || code === 'REDIS_UNAVAILABLE' || code === 'SERVER_UNAVAILABLE'
}
