import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../../kernel/errors.ts'
import { jsonOrNull } from '../../kernel/json-or-null.ts'
import { answeredError, isTemporaryStatus, notLockstep, unreachable } from './server-errors.ts'
import { createWhileAlive } from './while-alive.ts'

/** A server that does the work of commands. */
export interface Server {
  readonly url: string
  /**
   * Sends a request and reads JSON. A request that changes something carries an idempotency key, so that it is done
   * once although it is sent again after a broken connection.
   *
   * @param schema parses the answer
   * @throws LockstepError with the code of the server; `SERVER_UNAVAILABLE`, `VERSION_MISMATCH`
   */
  ask<T>(method: Method, path: string, body: object | undefined, schema: Schema<T>): Promise<T>
  /** Sends a request once, and returns its answer whatever its status is. @throws LockstepError `SERVER_UNAVAILABLE` */
  send(method: Method | 'HEAD' | 'PATCH', path: string, options?: SendOptions): Promise<Response>
  /**
   * The bytes of an answer of `send`.
   *
   * @throws LockstepError `SERVER_UNAVAILABLE` if the server sends nothing more; and what the connection fails with
   */
  bytes(response: Response): AsyncIterable<Uint8Array>
  /** The error that the server answered. */
  refusal(response: Response): Promise<LockstepError>
  /** Waits before the next attempt, longer each time. @throws LockstepError the error, after the last attempt */
  waitAfter(attempt: number, error: LockstepError): Promise<void>
}

interface Schema<T> {
  readonly parse: (json: unknown) => T
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array<ArrayBuffer>
  /** Default: that of the command. */
  readonly signal?: AbortSignal
}

/** About two minutes of attempts in all. A server that has never answered may not exist, so it gets two seconds. */
const attempts = 12
const firstAttempts = 3
const firstWaitMs = 250
const longestWaitMs = 15_000

/** How often a server that has answered before may then send nothing. */
const maxSilences = 3

export interface ServerOptions {
  readonly apiKey: string | null
  readonly signal: AbortSignal
  /**
   * How long a server may send nothing until it is asked whether it lives (`/livez`), and how long that may take,
   * milliseconds. So long work is not cut. Default: 30,000.
   */
  readonly silenceMs?: number
}

export function connectServer(url: string, { apiKey, signal, silenceMs = 30_000 }: ServerOptions): Server {
  let answered = false
  let silences = 0
  const whileAlive = createWhileAlive(url, { signal, silenceMs })
  /** End the requests of these answers. */
  const ends = new WeakMap<Response, AbortController>()

  async function send(method: string, path: string, { headers = {}, body, signal: own = signal }: SendOptions = {}): Promise<Response> {
    const key = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }
    const end = new AbortController()
    try {
      const request = fetch(`${url}${path}`, {
        method,
        headers: { ...key, ...headers },
        signal: AbortSignal.any([own, end.signal]),
        redirect: 'manual',
        ...(body === undefined ? {} : { body }),
      })
      const response = await whileAlive(request, end)
      ends.set(response, end)
      answered = true
      return response
    } catch (cause) {
      own.throwIfAborted()
      throw unreachable(url, cause)
    }
  }

  async function* bytesOf(response: Response): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader()
    if (reader === undefined) return
    try {
      for (;;) {
        const { done, value } = await whileAlive(reader.read(), ends.get(response))
        if (done) return
        silences = 0
        yield value
      }
    } finally {
      await reader.cancel().catch(() => undefined)
    }
  }

  async function textOf(response: Response): Promise<string> {
    try {
      return await whileAlive(response.text(), ends.get(response))
    } catch (cause) {
      signal.throwIfAborted()
      throw unreachable(url, cause)
    }
  }

  async function refusal(response: Response): Promise<LockstepError> {
    return answeredError(url, response.status, jsonOrNull(await textOf(response)))
  }

  async function waitAfter(attempt: number, error: LockstepError): Promise<void> {
    if (error.details['silent'] === true && (!answered || ++silences >= maxSilences)) throw error
    if (attempt >= (answered ? attempts : firstAttempts)) throw error
    await setTimeout(Math.min(longestWaitMs, firstWaitMs * 2 ** attempt) * (0.5 + Math.random()), undefined, { signal }).catch(() =>
      signal.throwIfAborted(),
    )
  }

  async function ask<T>(method: Method, path: string, body: object | undefined, schema: Schema<T>): Promise<T> {
    const headers = {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(method === 'POST' || method === 'DELETE' ? { 'idempotency-key': randomUUID() } : {}),
    }
    const options = { headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    for (let attempt = 0; ; attempt++) {
      let error: LockstepError
      try {
        const response = await send(method, path, options)
        if (response.ok) return await parseAnswer(response, schema)
        error = await refusal(response)
        // the first attempt is still in progress, and its answer will come
        if (error.code === 'IDEMPOTENCY_KEY_BUSY') attempt = 0
        else if (!isTemporaryStatus(response.status)) throw error
      } catch (thrown) {
        if (!(thrown instanceof LockstepError) || thrown.code !== 'SERVER_UNAVAILABLE') throw thrown
        error = thrown
      }
      await waitAfter(attempt, error)
    }
  }

  async function parseAnswer<T>(response: Response, schema: Schema<T>): Promise<T> {
    const text = await textOf(response)
    silences = 0
    try {
      return schema.parse(jsonOrNull(text))
    } catch {
      throw notLockstep(url, response.status)
    }
  }

  return {
    url,
    send,
    bytes: bytesOf,
    refusal,
    waitAfter,
    ask,
  }
}

/** The query of a URL with its `?`, without the values that are undefined; empty where there is none. */
export function queryOf(values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, String(value)]]))
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
}
