import type { LockstepError } from '../kernel/errors.ts'
import { asLockstepError } from '../runtime/postgres/postgres-unavailable.ts'

export interface FailedOne {
  readonly name: string
  readonly error: LockstepError
}

/**
 * Works on things one after the other. One that fails does not stop the others.
 *
 * @throws LockstepError what the only one fails with, and what would fail all: a store or the server is unavailable, or
 *   the command is stopped
 */
export async function eachInTurn<Thing, Done>(
  things: readonly Thing[],
  { nameOf, signal, work }: { readonly nameOf: (thing: Thing) => string; readonly signal: AbortSignal; work(thing: Thing): Promise<Done> },
): Promise<{ readonly done: readonly Done[]; readonly failed: readonly FailedOne[] }> {
  const done: Done[] = []
  const failed: FailedOne[] = []
  for (const thing of things) {
    signal.throwIfAborted()
    try {
      done.push(await work(thing))
    } catch (error) {
      const known = asLockstepError(error)
      if (signal.aborted || things.length === 1 || isUnavailable(known)) throw error
      failed.push({ name: nameOf(thing), error: known })
    }
  }
  return { done, failed }
}

export function failedLine({ name, error: { code, message } }: FailedOne): string {
  return `failed: ${name}: ${code}: ${message}`
}

function isUnavailable({ code }: LockstepError): boolean {
  return code === 'POSTGRES_UNAVAILABLE' || code === 'REDIS_UNAVAILABLE' || code === 'SERVER_UNAVAILABLE'
}
