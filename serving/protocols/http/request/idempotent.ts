import { createHash } from 'node:crypto'
import { LockstepError } from '../../../../kernel/errors.ts'
import type { KeptAnswer } from '../../../traffic/idempotency.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { readChunks } from './read-bytes.ts'
import type { Route } from '../route.ts'

export const idempotencyHeader = 'idempotency-key'
export const maxIdempotencyKey = 255

/**
 * Whether a route takes `Idempotency-Key`, so that a request is done once: those that change something, and do not
 * replace one thing by another.
 */
export function isIdempotent({ method, scope, isStreamed }: Pick<Route, 'method' | 'scope' | 'isStreamed'>): boolean {
  return (method === 'POST' || method === 'DELETE') && isStreamed !== true && (scope === 'push' || scope === 'admin')
}

interface OnceOptions {
  /** The owner within which keys must differ. Default: the API key. */
  readonly owner?: string
  /** Default: the route's. */
  readonly handle?: () => RouteAnswer | Promise<RouteAnswer>
  /** The part of the answer that is stored for repeated requests. Default: all of it. */
  readonly stored?: (answer: RouteAnswer) => RouteAnswer
}

/**
 * Answers a request with `Idempotency-Key`: by the handler of its route, or with the answer that it had before. Errors
 * are not kept: a request that failed can be sent again.
 *
 * @throws LockstepError `INVALID_REQUEST`, `IDEMPOTENCY_KEY_REUSED`, `IDEMPOTENCY_KEY_BUSY`, and what the handler
 *   throws
 */
export async function answerOnce(
  call: Call,
  context: ServingContext,
  { owner = call.principal ?? '', handle = () => call.route.handle(call, context), stored = (answer) => answer }: OnceOptions = {},
): Promise<RouteAnswer> {
  const { incoming, route } = call
  const key = keyOf(incoming.headersDistinct[idempotencyHeader] ?? [])
  const hash = createHash('sha256').update(JSON.stringify([incoming.method, incoming.url]))
  for (const chunk of await readChunks(call, route.bodyLimitBytes ?? context.bodyLimitBytes)) hash.update(chunk)
  const fingerprint = hash.digest('base64url')
  call.idempotent = JSON.stringify([owner, key, fingerprint])
  let made: RouteAnswer | null = null
  const answer = await context.idempotency.once({ owner, key, fingerprint }, async () => kept(stored((made = await handle()))))
  if (made !== null) return made
  const { status, body, contentType } = answer
  return { status, body, ...(contentType === null ? {} : { contentType }), headers: { 'idempotency-replayed': 'true' } }
}

/**
 * Gives the events of a request with `Idempotency-Key` that have no id one of their own, so that each is written once
 * whatever became of the request.
 */
export function withEventIds({ idempotent }: Call, events: readonly unknown[]): readonly unknown[] {
  if (idempotent === undefined) return events
  return events.map((event, i) => {
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return event
    const id = createHash('sha256').update(`${idempotent} ${i}`).digest('base64url')
    return { _event_id: `idempotency-${id}`, ...event }
  })
}

/** @throws LockstepError `INVALID_REQUEST` */
function keyOf([text = '', ...more]: readonly string[]): string {
  if (more.length > 0) throw new LockstepError('INVALID_REQUEST', 'The request has two "Idempotency-Key" headers; send one.')
  // a string of structured fields, as the draft has it, or the bare key, as most send it
  const key = /^"(.*)"$/.exec(text)?.[1] ?? text
  if (key !== '' && key.length <= maxIdempotencyKey && /^[ -~]+$/.test(key)) return key
  throw new LockstepError(
    'INVALID_REQUEST',
    `The header "Idempotency-Key" has ${key.length} characters; send 1 to ${maxIdempotencyKey} printable ASCII characters, such as a UUID.`,
  )
}

function kept({ status, body, contentType }: RouteAnswer): KeptAnswer {
  return { status, contentType: contentType ?? null, body: typeof body === 'string' ? Uint8Array.from(Buffer.from(body)) : body }
}
