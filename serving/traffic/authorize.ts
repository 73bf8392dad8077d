import type { IncomingHttpHeaders } from 'node:http'
import { LockstepError } from '../../kernel/errors.ts'
import type { Scope } from '../../registry/keys/scope.ts'
import type { Principal } from './key-ring.ts'
import { checkScope, keyInHeaders } from './key-ring.ts'
import type { LimitState, LimitUnit } from './rate-limiter.ts'
import type { Traffic } from './traffic.ts'

/** The results of authorization of a request, in every protocol. */
export interface AuthorizedRequest {
  /** The scope that its operation needs. */
  readonly scope: Scope
  /** null: the server needs no key, or none was checked yet. */
  key: Principal | null
  /** Gives back its place among the requests of its key; undefined: it has none. */
  leaveKey: (() => void) | undefined
  /** Takes rows from the limit of its key; undefined: it has none. @throws LockstepError `RATE_LIMITED` */
  takeRows: ((rows: number) => Promise<void>) | undefined
  /** How the limits of its key stand; undefined: it has none. */
  limits: readonly LimitState[] | undefined
}

/**
 * Authorizes a request: checks its key and the scope of the key, takes a place among the requests of the key, and takes
 * one request from the limit of the key.
 *
 * @param headers `authorization` or `x-api-key`
 * @returns a promise where the key has a limit of requests or is looked up: most need no turn of the event loop
 * @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, `NOT_READY`, `OVERLOADED`. By the promise: `RATE_LIMITED`, and
 *   all of them for a key that is looked up
 */
export function authorize(traffic: Traffic, request: AuthorizedRequest, headers: IncomingHttpHeaders): Promise<void> | undefined {
  try {
    return authorizeKnown(traffic, request, headers)
  } catch (error) {
    const reading = traffic.keys.lookUp(keyInHeaders(headers))
    if (reading === undefined) throw error
    return reading.then(() => authorizeKnown(traffic, request, headers))
  }
}

function authorizeKnown(
  { keys, places, limits }: Traffic,
  request: AuthorizedRequest,
  headers: IncomingHttpHeaders,
): Promise<void> | undefined {
  const key = keys.authorize(keyInHeaders(headers), request.scope)
  if (key === null) return undefined
  request.key = key
  request.leaveKey = places.take(key.id)
  const { requestsPerSecond, rowsPerSecond } = key
  if (rowsPerSecond !== null) request.takeRows = (rows) => take(limits, request, key, 'rows', rowsPerSecond, rows)
  return requestsPerSecond === null ? undefined : take(limits, request, key, 'requests', requestsPerSecond, 1)
}

/** Takes the rows of a request from the limit of its key. @throws LockstepError `RATE_LIMITED` */
export async function takeRows({ takeRows: take }: Pick<AuthorizedRequest, 'takeRows'>, rows: number): Promise<void> {
  if (take !== undefined && rows > 0) await take(rows)
}

/** Requires another scope than that of the operation. @throws LockstepError `FORBIDDEN` */
export function requireScope({ key }: Pick<AuthorizedRequest, 'key'>, scope: Scope): void {
  if (key !== null) checkScope(key, scope)
}

async function take(
  limits: Traffic['limits'],
  request: AuthorizedRequest,
  { id: owner }: Principal,
  unit: LimitUnit,
  perSecond: number,
  units: number,
): Promise<void> {
  const note = (state: LimitState) => (request.limits = [...(request.limits ?? []), state])
  try {
    note(await limits.take({ owner, scope: request.scope, unit, perSecond }, units))
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'RATE_LIMITED')
      note({ unit, perSecond, remaining: 0, resetMs: Number(error.details['retryAfterMs']) })
    throw error
  }
}
