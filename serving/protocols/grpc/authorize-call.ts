import type { IncomingHttpHeaders } from 'node:http'
import { LockstepError } from '../../../kernel/errors.ts'
import type { Traffic } from '../../traffic/traffic.ts'
import type { Principal } from '../../traffic/key-ring.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import { beforeDeadline, limitOf } from '../../traffic/request-deadline.ts'
import { overloaded } from '../http/admission-listener.ts'
import { isRefusal } from '../http/authorize.ts'
import type { Scope } from '../../../registry/keys/scope.ts'

export interface AdmittedCall {
  /** Its metadata, as far as they name a key. */
  readonly sent: IncomingHttpHeaders
  /** null: open to all, and let in always. */
  readonly scope: Scope | null
  /** When it came, milliseconds of `performance.now()`. */
  readonly startedMs: number
  /** How long its caller waits for it, milliseconds; null: as long as the server has it. */
  readonly limitMs: number | null
}

/**
 * Runs a call as a request over HTTP is: where there is room for it, its key allows it, and before its deadline.
 *
 * @throws LockstepError `OVERLOADED`, `UNAUTHENTICATED`, `FORBIDDEN`, `RATE_LIMITED`, `NOT_READY`, `DEADLINE_EXCEEDED`, and what `run` throws
 */
export async function passGateway<T>(
  traffic: Traffic,
  { sent, scope, startedMs, limitMs: wanted }: AdmittedCall,
  run: (principal: Principal | null, deadline?: RequestDeadline) => T | Promise<T>,
): Promise<T> {
  if (scope === null) return await run(null)
  const limitMs = limitOf(wanted, traffic.requestTimeoutMs)
  await new Promise<void>((enter, reject) => {
    traffic.admission.enter({
      run: enter,
      refuse: () => reject(overloaded),
      deadline: limitMs === null ? Number.POSITIVE_INFINITY : startedMs + limitMs,
    })
  })
  let leaveKey: (() => void) | undefined
  let over = false
  try {
    const deadline = limitMs === null ? undefined : { at: startedMs + limitMs, limitMs }
    const answer = Promise.resolve(traffic.admitCall(sent, scope)).then((principal) => {
      if (principal !== null && !over) leaveKey = traffic.places.take(principal.id)
      return run(principal, deadline)
    })
    return await (deadline === undefined ? answer : beforeDeadline(deadline, answer))
  } catch (error) {
    if (error instanceof LockstepError && isRefusal(error)) traffic.metrics.refused(error.code)
    throw error
  } finally {
    over = true
    leaveKey?.()
    traffic.admission.leave()
  }
}
