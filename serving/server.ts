import { createAdaptorServer } from '@hono/node-server'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from '../runtime/log.ts'
import type { Registry } from 'prom-client'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { HistoryRequest } from '../offline/history.ts'
import { readHistory } from '../offline/history.ts'
import type { ViewValues } from '../kernel/state.ts'
import type { OnlineStore } from '../online/store.ts'
import { readModelBytes } from '../registry/model-versions.ts'
import type { Database } from '../runtime/database.ts'
import { createDependency } from './dependency.ts'
import { createApp } from './http/app.ts'
import type { Readiness } from './http/context.ts'
import { createLiveCatalog } from './live-catalog.ts'
import { createServingMetrics } from './metrics.ts'
import { createModelHost } from './model-host.ts'
import { repeat } from './repeat.ts'

const historyPortion = 500

export interface ServerOptions {
  readonly config: { readonly bodyLimitBytes: number }
  /** Opens the database; called again while it fails. The server closes what it gives. */
  readonly database: () => Promise<Database>
  /** Opens the online store; called again while it fails. The server closes what it gives. */
  readonly store: () => Promise<OnlineStore>
  readonly log: Logger
  readonly metrics: Registry
  /** Now, in epoch microseconds. */
  readonly clock: () => number
  /** The moment of requests that name none, epoch microseconds. Absent: now. */
  readonly defaultAsOf?: number
  /** How often the registry is looked at for changes and the stores for life. Default 2000. */
  readonly pollMs?: number
  /** How long requests under way may take when the server closes. Default 10,000. */
  readonly drainMs?: number
}

export interface LockstepServer {
  /**
   * Begins to accept requests at once; they are answered with NOT_READY until the stores have answered.
   *
   * @param port 0: any free one
   * @throws LockstepError `PORT_IN_USE`, or `CONFIG_INVALID` where the address is not this machine's or not allowed
   */
  listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number; readonly url: string }>
  readiness(): Readiness
  /** Resolves once requests can be answered. */
  whenReady(): Promise<void>
  /** Not ready at once, no new connections, requests under way finished within `drainMs`; then models, store and database are closed. */
  close(): Promise<void>
}

/**
 * The serving process: watches the registry and the stores, and answers HTTP. It starts with PostgreSQL or Redis away, and becomes ready by itself;
 * with PostgreSQL lost later it goes on answering what needs no history.
 */
export function createServer(options: ServerOptions): LockstepServer {
  const { log } = options
  const pollMs = options.pollMs ?? 2000
  const database = createDependency({ name: 'The database', open: options.database, ping: (db) => db.ping(), log })
  const store = createDependency({ name: 'The online store', open: options.store, ping: (online) => online.ping(), log })
  const metrics = createServingMetrics(options.metrics)
  const models = createModelHost({ readBytes: (model, version) => readModelBytes(needDatabase(), model, version), onRun: metrics.run, log })
  const catalog = createLiveCatalog(models, log)
  let closing = false
  let closed: Promise<void> | null = null
  let becameReady: () => void
  const ready = new Promise<void>((resolve) => (becameReady = resolve))

  const app = createApp({
    catalog: catalog.current,
    reader: ({ online }) => ({
      store: needStore(),
      isOnline: (view) => online.has(view),
      history: (requests) => readAllHistory(needDatabase(), requests),
    }),
    models,
    readiness,
    metrics,
    log,
    clock: options.clock,
    defaultAsOf: options.defaultAsOf ?? null,
    bodyLimitBytes: options.config.bodyLimitBytes,
  })
  const http = createAdaptorServer({ fetch: app.fetch }) as Server
  const loops: { stop(): Promise<void> }[] = []

  function needDatabase(): Database {
    if (database.value !== null) return database.value
    throw new LockstepError('POSTGRES_UNAVAILABLE', `The database is needed for this request and does not answer: ${database.failure}`)
  }

  function needStore(): OnlineStore {
    if (store.value !== null) return store.value
    throw new LockstepError('NOT_READY', `The online store does not answer: ${store.failure} Try again soon.`)
  }

  function readiness(): Readiness {
    const reasons: string[] = []
    const warnings: string[] = []
    if (closing) reasons.push('The server is shutting down.')
    if (store.failure !== null) reasons.push(store.failure)
    const registry = database.failure ?? catalog.failure
    if (!catalog.loaded) reasons.push(registry ?? 'The registry is not loaded yet.')
    else if (registry !== null) warnings.push(registry)
    return { ready: reasons.length === 0, reasons, warnings, closing }
  }

  async function watchDatabase(): Promise<void> {
    await database.check()
    if (database.value !== null && database.failure === null) await catalog.refresh(database.value)
    noteReady()
  }

  async function watchStore(): Promise<void> {
    await store.check()
    noteReady()
  }

  async function shutDown(): Promise<void> {
    closing = true
    await drained(http, options.drainMs ?? 10_000)
    await Promise.all(loops.map((loop) => loop.stop()))
    for (const close of [models.close, store.close, database.close]) {
      await close().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'something did not close'))
    }
  }

  function noteReady(): void {
    if (readiness().ready) becameReady()
  }

  /** With jitter, so that many servers do not ask at once; soon again while something is missing. */
  function delayMs(): number {
    return (readiness().ready ? pollMs : Math.min(pollMs, 500)) * (0.75 + Math.random() / 2)
  }

  return {
    async listen(host, port) {
      await listening(http, host, port)
      loops.push(repeat(watchDatabase, delayMs), repeat(watchStore, delayMs))
      const address = http.address() as AddressInfo
      return { host, port: address.port, url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}` }
    },
    readiness,
    whenReady: () => ready,
    close() {
      closed ??= shutDown()
      return closed
    },
  }
}

/** In portions: each is one query with its keys written out. */
async function readAllHistory(db: Database, requests: readonly HistoryRequest[]): Promise<ViewValues[]> {
  const answers: ViewValues[] = []
  for (let at = 0; at < requests.length; at += historyPortion) {
    for (const values of await readHistory(db, requests.slice(at, at + historyPortion))) answers.push(values)
  }
  return answers
}

function listening(http: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port))
    http.once('error', refuse)
    http.listen(port, host, () => {
      http.off('error', refuse)
      resolve()
    })
  })
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): LockstepError {
  if (cause.code === 'EADDRINUSE') {
    return new LockstepError(
      'PORT_IN_USE',
      `The port "${port}" on "${host}" is in use by another process; stop that one, or set LOCKSTEP_PORT to a free port.`,
      {
        cause,
        details: { host, port },
      },
    )
  }
  return new LockstepError(
    'CONFIG_INVALID',
    `The server cannot listen on "${host}" port "${port}": ${cause.message}. Set LOCKSTEP_HOST and LOCKSTEP_PORT.`,
    {
      cause,
      details: { host, port },
    },
  )
}

/** Waits until the last request is answered and its connection closed; past `capMs` the connections are cut. */
async function drained(http: Server, capMs: number): Promise<void> {
  if (!http.listening) return
  const closed = new Promise<void>((resolve) => http.close(() => resolve()))
  const idle = setInterval(() => http.closeIdleConnections(), 20)
  const cap = setTimeout(() => http.closeAllConnections(), capMs)
  await closed
  clearInterval(idle)
  clearTimeout(cap)
}
