import { createContext, Script } from 'node:vm'

const realm = createContext({ call: undefined as unknown })
const script = new Script('call()')

/**
 * Calls a function and aborts it when its time is over; it then throws an error that `isOverLimit` recognizes. A thread
 * watches each call, which costs some tens of microseconds.
 */
export function withinLimit<T>(call: () => T, limitMs: number): T {
  realm['call'] = call
  return script.runInContext(realm, { timeout: Math.max(1, Math.ceil(limitMs)) }) as T
}

/** The error comes from another realm, so it is not an instance of this realm's Error. */
export function isOverLimit(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}
