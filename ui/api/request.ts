import type { Answer } from '../../serving/dashboard/contract/answer.ts'

export type { Answer }

/** An answer of the server that is not 2xx, or none at all (status 0). */
export class RequestError extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.name = 'RequestError'
    this.status = status
    this.code = code
  }

  /** Whether the server answered, but its database did not. */
  get isOfDatabase(): boolean {
    return this.code === 'POSTGRES_UNAVAILABLE'
  }

  /** Whether the server, a proxy before it or its database did not answer. */
  get isUnreachable(): boolean {
    return this.status === 0 || this.status >= 502
  }
}

interface Kept {
  readonly etag: string
  readonly answer: unknown
  /** How many reads since found the same. */
  unchanged: number
}

/** The last answers by path: the server's `no-store` keeps them out of the browser's own cache. */
const kept = new Map<string, Kept>()
const maxKept = 200

/** Reads `/ui/api/PATH`. A repeated read whose data is the same costs one empty answer. */
export async function read<Data>(path: string, signal?: AbortSignal): Promise<Answer<Data>> {
  const before = kept.get(path)
  const headers = before === undefined ? {} : { 'if-none-match': before.etag }
  const response = await send(path, { headers, ...(signal === undefined ? {} : { signal }) })
  if (response.status === 304 && before !== undefined) {
    before.unchanged++
    return before.answer as Answer<Data>
  }
  const answer: Answer<Data> = await response.json()
  const etag = response.headers.get('etag')
  if (etag !== null) {
    if (kept.size >= maxKept) kept.delete(kept.keys().next().value ?? '')
    kept.set(path, { etag, answer, unchanged: 0 })
  }
  return answer
}

/** How many of the last reads of `/ui/api/PATH` found nothing new. */
export function unchangedReads(path: string): number {
  return kept.get(path)?.unchanged ?? 0
}

/** So many reads after a change are as frequent as those that find something new. */
const readsAfterChange = 5

interface Change {
  readonly method?: 'POST' | 'DELETE'
  readonly body?: unknown
  /** The version of the thing as the page showed it: the server refuses an act on another one. */
  readonly ifMatch?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** The changes that got no answer, by what they ask for. If one is sent again, the server does it once. */
const unanswered = new Map<string, string>()

/** Changes something by `/ui/api/PATH`, or by another path that begins with a slash. */
export async function change<Data>(path: string, { method = 'POST', body = {}, ifMatch, headers }: Change): Promise<Answer<Data> | null> {
  const sent = JSON.stringify(body)
  const what = JSON.stringify([method, path, sent, ifMatch])
  const key = unanswered.get(what) ?? newIdempotencyKey()
  unanswered.set(what, key)
  try {
    const response = await send(path, {
      method,
      body: sent,
      headers: {
        'content-type': 'application/json',
        'idempotency-key': key,
        ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
        ...headers,
      },
    })
    const text = await response.text()
    unanswered.delete(what)
    // what it changes may show only after a while
    for (const each of kept.values()) each.unchanged = -readsAfterChange
    return text === '' ? null : (JSON.parse(text) as Answer<Data>)
  } catch (error) {
    if (error instanceof RequestError && error.status !== 0 && error.status < 500) unanswered.delete(what)
    throw error
  }
}

/** `crypto.randomUUID` is missing on plain HTTP. */
function newIdempotencyKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Forgets all answers: those of another session. */
export function forgetAnswers(): void {
  kept.clear()
}

interface Sent {
  readonly method?: string
  readonly body?: string
  readonly headers: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

async function send(path: string, init: Sent): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path.startsWith('/') ? path : `/ui/api/${path}`, {
      credentials: 'same-origin',
      ...init,
      headers: { accept: 'application/json', 'x-lockstep-ui': '1', ...init.headers },
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new RequestError(0, 'UNREACHABLE', 'The server does not answer.')
  }
  if (response.ok || response.status === 304) return response
  throw await errorOf(response)
}

async function errorOf(response: Response): Promise<RequestError> {
  const plain = `The server answered ${response.status}.`
  try {
    const body: { readonly error?: { readonly code: string; readonly message: string } } = await response.json()
    return new RequestError(response.status, body.error?.code ?? '', body.error?.message ?? plain)
  } catch {
    return new RequestError(response.status, '', plain)
  }
}
