import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Config } from '../runtime/config.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { createLifecycle } from '../runtime/lifecycle.ts'
import type { Logger } from '../runtime/log.ts'
import type { MetricsRegistry } from '../runtime/metrics.ts'
import { createLogger } from '../runtime/log.ts'
import type { PostgresOptions } from '../runtime/postgres/open-postgres.ts'
import type { Tracing } from '../runtime/tracing/span.ts'
import type { StoresNotice } from './stores-notice.ts'
import type { Terminal } from './terminal.ts'

/**
 * The resources of commands. Each is opened once, when it is first asked for, and closed with the context. Its code is
 * imported then, too, because commands that need no database start in half the time without it.
 */
export interface Context {
  readonly config: Config
  readonly log: Logger
  readonly terminal: Terminal
  /** Aborted when the process is asked to end. */
  readonly signal: AbortSignal
  /** Names the database and store where they may be others than the user expects. Opening one does the same. */
  announceStores(): void
  /** @throws LockstepError `POSTGRES_UNAVAILABLE`, `EMBEDDED_IN_USE` */
  unmigratedDatabase(timers?: PostgresOptions['timers']): Promise<Database>
  /**
   * @param timers measure the round trips, if it is not open yet
   * @throws LockstepError also `MIGRATIONS_PENDING`, `SCHEMA_NEWER`
   */
  database(timers?: PostgresOptions['timers']): Promise<Database>
  /** @throws LockstepError `REDIS_UNAVAILABLE` */
  store(): Promise<OnlineStore>
  /** The registry as it is now. */
  catalog(): Promise<Catalog>
  /**
   * null: this process sends no spans.
   *
   * @param registry gets the counts of spans. Default: a registry that is not shown
   */
  tracing(registry?: MetricsRegistry): Promise<Tracing | null>
  /** Registers something that a command has opened itself. */
  add(name: string, close: () => Promise<void>): void
  /** Closes what is open, last opened first. */
  close(): Promise<void>
}

/** @param notice is printed on standard error before what it names is opened, but not with `--json` */
export function createContext(config: Config, terminal: Terminal, signal: AbortSignal, notice?: StoresNotice): Context {
  const log = createLogger(config.logLevel)
  const lifecycle = createLifecycle(log)
  let opening: Promise<Database> | null = null
  let checked: Promise<Database> | null = null
  let openingStore: Promise<OnlineStore> | null = null
  let openingTracing: Promise<Tracing | null> | null = null

  const unannounced = new Map(terminal.json ? [] : Object.entries(notice ?? {}))

  function announce(what: keyof StoresNotice): void {
    const text = unannounced.get(what) ?? null
    unannounced.delete(what)
    if (text !== null) terminal.complain(text)
  }

  async function open(timers: PostgresOptions['timers']): Promise<Database> {
    announce('database')
    const { openDatabase } = await import('../runtime/postgres/open-database.ts')
    const db = await openDatabase(config, { signal, timers, warn: (message) => log.warn({ directory: config.directory }, message) })
    lifecycle.add('database', () => db.close())
    await db.ping()
    return db
  }

  async function check(timers: PostgresOptions['timers']): Promise<Database> {
    announce('database')
    const { databaseName, requireMade } = await import('../runtime/postgres/open-database.ts')
    requireMade(config)
    const { requireMigrated } = await import('../runtime/postgres/migrated.ts')
    const db = await context.unmigratedDatabase(timers)
    await requireMigrated(db.kysely, databaseName(config))
    return db
  }

  async function openStore(): Promise<OnlineStore> {
    // the owner of the database owns the folder, and so the embedded store
    if (config.redisUrl === null) await context.database()
    announce('store')
    const { openOnlineStore } = await import('../online/open-store.ts')
    const store = await openOnlineStore(config, { signal })
    lifecycle.add('online store', () => store.close())
    await store.ping()
    return store
  }

  async function startTracing(registry?: MetricsRegistry): Promise<Tracing | null> {
    if (config.traces === null) return null
    const { createMetricsRegistry } = await import('../runtime/metrics.ts')
    // only processes that send spans load OpenTelemetry
    const { createOtlpTracing } = await import('../runtime/tracing/otlp-tracing.ts')
    const tracing = createOtlpTracing(config.traces, { log, registry: registry ?? createMetricsRegistry() })
    lifecycle.add('tracing', () => tracing.close())
    return tracing
  }

  /** The store may be available when it is asked for again. */
  function forgetStore(error: unknown): never {
    openingStore = null
    throw error
  }

  const context: Context = {
    config,
    log,
    terminal,
    signal,
    announceStores() {
      announce('database')
      announce('store')
    },
    unmigratedDatabase: (timers) => (opening ??= open(timers)),
    database: (timers) => (checked ??= check(timers)),
    store: () => (openingStore ??= openStore().catch(forgetStore)),
    catalog: async () => {
      const db = await context.database()
      const { loadCatalog } = await import('../registry/catalog.ts')
      return loadCatalog(db)
    },
    tracing: (registry) => (openingTracing ??= startTracing(registry)),
    add: (name, close) => lifecycle.add(name, close),
    close: () => lifecycle.close(),
  }
  return context
}
