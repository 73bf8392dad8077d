import type { ErrorCode } from '../kernel/errors.ts'
import { isRecord } from '../kernel/is-record.ts'
import { ClientError } from './client-error.ts'
import { parseJson, writeJson } from './json.ts'

export interface SendOptions {
  /** Without the slash at the end. */
  readonly url: string
  readonly apiKey: string | null
  readonly retries: number
  readonly fetch: typeof fetch
}

export interface SendLimits {
  /** How long all attempts may take together. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** The greatest `x-request-timeout-ms` that a server takes. */
const longestHeaderMs = 3_600_000
/** The greatest delay of a timer, which is 24 days. */
const longestTimerMs = 2 ** 31 - 1
const firstWaitMs = 100
const longestWaitMs = 5000

/** Statuses after which sending again may succeed: the server is busy or not ready, or a proxy has no answer (502). */
const again: ReadonlySet<number> = new Set([429, 502, 503])

/**
 * Posts JSON and reads JSON. The request must be safe to send again. After a 429, a 502, a 503 or a broken connection
 * the client tries again while there is time. It waits as long as the server asks for (`retry-after`), or else a random
 * time that grows.
 *
 * @throws ClientError; the signal's reason where that was aborted
 */
export async function send(
  { url, apiKey, retries, fetch }: SendOptions,
  path: string,
  body: unknown,
  { timeoutMs, signal }: SendLimits,
): Promise<Record<string, unknown>> {
  const text = writeJson(body)
  if (!(typeof timeoutMs === 'number' && timeoutMs > 0)) {
    throw new ClientError('INVALID_REQUEST', `The timeoutMs is ${String(timeoutMs)}; it must be a number above 0.`, { attempts: 0 })
  }
  const limitMs = Math.min(Math.ceil(timeoutMs), longestTimerMs)
  const until = performance.now() + limitMs
  const deadline = AbortSignal.timeout(limitMs)
  const either = signal === undefined ? deadline : AbortSignal.any([deadline, signal])

  for (let attempts = 1; ; attempts++) {
    signal?.throwIfAborted()
    const leftMs = Math.min(Math.ceil(until - performance.now()), longestHeaderMs)
    if (leftMs < 1) throw timeoutError(timeoutMs, attempts - 1)
    const headers: Record<string, string> = { 'content-type': 'application/json', 'x-request-timeout-ms': String(leftMs) }
    if (apiKey !== null) headers['authorization'] = `Bearer ${apiKey}`
    let failure: ClientError
    let waitMs = Math.random() * Math.min(longestWaitMs, firstWaitMs * 2 ** attempts)
    try {
      const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: text, signal: either })
      const answer = await response.text()
      if (response.ok) return answered(answer, response, attempts)
      failure = refused(answer, response, attempts)
      if (!again.has(response.status)) throw failure
      waitMs = Math.max(waitMs, retryAfterMs(response.headers.get('retry-after')))
    } catch (error) {
      if (error instanceof ClientError) throw error
      signal?.throwIfAborted()
      if (deadline.aborted) throw timeoutError(timeoutMs, attempts, error)
      failure = new ClientError('NETWORK', `The server at "${url}" cannot be reached: ${reasonOf(error as Error)}.`, {
        attempts,
        cause: error,
      })
    }
    if (attempts > retries || waitMs >= until - performance.now()) throw failure
    await wait(waitMs, signal)
  }
}

function answered(text: string, response: Response, attempts: number): Record<string, unknown> {
  const json = parsed(text)
  // every answer of Lockstep has a requestId
  if (typeof json?.['requestId'] === 'string') return json
  throw badAnswer(response, attempts)
}

function refused(text: string, response: Response, attempts: number): ClientError {
  const error = parsed(text)?.['error']
  if (!isRecord(error)) return badAnswer(response, attempts)
  const { code, message, details, requestId } = error
  return new ClientError(code as ErrorCode, String(message), {
    status: response.status,
    requestId: typeof requestId === 'string' ? requestId : null,
    details: isRecord(details) ? details : {},
    attempts,
  })
}

function badAnswer(response: Response, attempts: number): ClientError {
  return new ClientError(
    'BAD_ANSWER',
    `"${response.url}" answered ${response.status} with something that is not from Lockstep; check the URL.`,
    {
      status: response.status,
      requestId: response.headers.get('x-request-id'),
      attempts,
    },
  )
}

function timeoutError(timeoutMs: number, attempts: number, cause?: unknown): ClientError {
  return new ClientError('DEADLINE_EXCEEDED', `There was no answer within ${timeoutMs} ms; send fewer rows, or raise timeoutMs.`, {
    details: { timeoutMs },
    attempts,
    cause,
  })
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const json = parseJson(text)
    return isRecord(json) ? json : null
  } catch {
    return null
  }
}

/** Node keeps the actual error in the cause. Its text for a TLS error is a line of OpenSSL's. */
function reasonOf({ message, cause }: Error): string {
  if (!(cause instanceof Error)) return message
  const { code } = cause as { readonly code?: unknown }
  if (typeof code !== 'string' || !/^(ERR_SSL|EPROTO)/.test(code)) return cause.message
  return `it does not answer with TLS (${code}); if it has no TLS, use http:// in its URL`
}

/** In seconds, or a date. */
function retryAfterMs(header: string | null): number {
  if (header === null) return 0
  const seconds = Number(header)
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : 0
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
