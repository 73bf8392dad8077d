import { createContext, Script } from 'node:vm'

const realm = createContext({ call: undefined as unknown })
const script = new Script('call()')

/**
 * Calls a function and breaks it off when its time is up: then it throws what `isOverLimit` tells. A thread watches
 * each call, which costs some tens of microseconds.
 */
export function withinLimit<T>(call: () => T, limitMs: number): T {
  realm['call'] = call
  return script.runInContext(realm, { timeout: Math.max(1, Math.ceil(limitMs)) }) as T
}

/** Such an error is of the other realm, so that it is no instance of this one's Error. */
export function isOverLimit(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}
