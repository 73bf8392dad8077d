import { lookup as resolve } from 'node:dns'
import type { RequestOptions } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import { LockstepError } from '../../../kernel/errors.ts'
import { request as requestHttp } from '../../../runtime/node-http.ts'
import { isPrivateAddress } from '../../../runtime/private-address.ts'

export interface OutgoingRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface SendOptions {
  /** Whether receivers on this machine or in private networks are allowed. */
  readonly allowPrivate: boolean
  /** For the complete exchange. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

type Lookup = NonNullable<RequestOptions['lookup']>

/** As `exchange`, for a receiver whose answer does not matter. @throws LockstepError as `exchange` */
export async function sendRequest(request: OutgoingRequest, options: SendOptions): Promise<void> {
  await exchange(request, options)
}

/** More of an answer is not read. */
const maxAnswerBytes = 64 * 1024

/**
 * Sends a POST request and waits for a status of 2xx. It follows no redirect. The address is checked where the
 * connection is made, because a name may resolve to another one each time. Errors hold the host only: the rest of a URL
 * may be a secret.
 *
 * @returns the answer's body, at most 64 KiB
 * @throws LockstepError `FORBIDDEN` for a private address; `DELIVERY_FAILED`
 */
export async function exchange({ url, headers, body }: OutgoingRequest, { allowPrivate, timeoutMs, signal }: SendOptions): Promise<string> {
  if (!URL.canParse(url)) throw notDelivered('its URL is not one')
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:') throw notDelivered('its URL does not begin with https:// or http://')
  const host = hostname.replace(/^\[|\]$/g, '')
  if (!allowPrivate) checkAddress(host)
  const send = protocol === 'https:' ? requestHttps : requestHttp
  const ended = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const { status, text } = await new Promise<{ readonly status: number; readonly text: string }>((answer, fail) => {
    const request = send(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      signal: ended,
      agent: false,
      ...(allowPrivate ? {} : { lookup: publicLookup }),
    })
    request.on('error', fail)
    request.on('response', (response) => {
      response.on('error', fail)
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        if (bytes < maxAnswerBytes) chunks.push(chunk.subarray(0, maxAnswerBytes - bytes))
        bytes += chunk.length
      })
      response.on('end', () => answer({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
    })
    request.end(body)
  }).catch((cause: unknown) => {
    if (cause instanceof LockstepError || signal.aborted) throw cause
    if (ended.aborted) throw notDelivered(`"${host}" did not answer within ${timeoutMs / 1000} s`, cause)
    throw unreachable(host, cause)
  })
  if (status < 200 || status > 299) throw notDelivered(`"${host}" answered with status ${status}`)
  return text
}

/** @throws LockstepError `FORBIDDEN` for a private address; names are checked where they are resolved */
export function checkAddress(host: string): void {
  if (isIP(host) !== 0 && isPrivateAddress(host)) throw privateAddress(host)
}

/** Resolves a name, and refuses it if any of its addresses is private. */
export const publicLookup: Lookup = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '', 4)
    const [first] = addresses
    if (first === undefined || addresses.some(({ address }) => isPrivateAddress(address))) return callback(privateAddress(hostname), '', 4)
    if (options.all === true) return callback(null, addresses)
    return callback(null, first.address, first.family)
  })
}

function privateAddress(host: string): LockstepError {
  return new LockstepError(
    'FORBIDDEN',
    `The receiver "${host}" has a private address. To allow that, set LOCKSTEP_ALERT_PRIVATE_ADDRESSES to "allow".`,
    { details: { host } },
  )
}

export function unreachable(host: string, cause: unknown): LockstepError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'no code'
  return notDelivered(`"${host}" cannot be reached (${code})`, cause)
}

export function notDelivered(why: string, cause?: unknown): LockstepError {
  return new LockstepError('DELIVERY_FAILED', `The receiver did not accept the alert: ${why}.`, { cause })
}
