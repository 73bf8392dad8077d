import { dirname, join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { markDevelopment } from '../../registry/changes/development.ts'
import { unlessAborted } from '../../runtime/async.ts'
import type { Config } from '../../runtime/config.ts'
import { tryPort } from '../../runtime/listen.ts'
import { migrateDatabase } from '../../runtime/postgres/migrated.ts'
import type { Example } from '../../serving/find/example.ts'
import { exampleEntity, featuresExample, predictExample } from '../../serving/find/example.ts'
import { isLoopback } from '../../serving/traffic/loopback.ts'
import { userAtHost } from '../actor.ts'
import type { Context } from '../context.ts'
import { createContext } from '../context.ts'
import { createReadingContext } from '../find/reading-context.ts'
import type { EmbeddedKeeper } from '../keep-views.ts'
import { createEmbeddedKeeper } from '../keep-views.ts'
import { startServer } from '../start-server.ts'
import { uiLink } from '../ui-link.ts'
import { createDefinitionsLoader } from './definitions-loader.ts'
import { takeDevFolder } from './dev-folder.ts'
import type { Developing, Project } from './develop.ts'
import { develop } from './develop.ts'
import { createDevSession } from './session.ts'

const portsTried = 10

export interface DevServer {
  readonly url: string
  /** Makes a link to the dashboard; null: it is off. */
  readonly link: (() => Promise<string>) | null
  /** A request about an entity that has rows; null: there is no service yet. */
  readonly example: Example | null
}

export interface DevOptions {
  /** Absent: the configured one, or the next free one. */
  readonly port?: number | undefined
  /** When the user started it, by `performance.now()`. Default: now. */
  readonly startedMs?: number
  readonly say: (text: string) => void
  /** Called when a step of the start begins that may take long, with a line about it. Default: nobody hears of them. */
  readonly onStep?: (text: string) => void
}

/**
 * Makes a development store and serves a project from it, as the project's files are at each time. The context closes
 * all of it, and then nothing is left of the store. The signal of the context ends the start between its steps.
 *
 * @throws LockstepError `EMBEDDED_IN_USE`, `PORT_IN_USE`
 */
export async function startDev(outer: Context, project: Project, options: DevOptions): Promise<DevServer> {
  outer.signal.throwIfAborted()
  const folder = await takeDevFolder(outer.config.directory)
  outer.add('development store', () => folder.remove())
  const context = createContext(devConfig(outer.config, folder.path), outer.terminal, outer.signal)
  outer.add('development session', () => context.close())
  return await serveProject(context, project, options)
}

/**
 * Serves a project from the store of a context, which is empty and from then on a development store. The context closes
 * all of it.
 */
async function serveProject(
  context: Context,
  project: Project,
  { port, say, onStep, startedMs = performance.now() }: DevOptions,
): Promise<DevServer> {
  const { signal } = context
  signal.throwIfAborted()
  let isStarting = true
  const step = (text: string): void => {
    if (isStarting) onStep?.(`${text}…`)
  }
  step('Making the store')
  const { kysely } = await context.unmigratedDatabase()
  await migrateDatabase(kysely, { signal })
  await markDevelopment(kysely)
  const db = await context.database()
  signal.throwIfAborted()
  const { server, metrics } = await startServer(context, {})
  const { url, uiUrl } = await server.listen(context.config.host, port ?? (await freePort(context.config)))
  const keeping = keepUnless(context, createEmbeddedKeeper(context, metrics))
  signal.throwIfAborted()
  context.add('views', () => keeping.end())
  const session = createDevSession({
    db,
    store: await context.store(),
    refresh: server.refresh,
    alone: keeping.without,
    actor: userAtHost(),
    onStep: step,
    signal,
  })
  const loader = createDefinitionsLoader(project.file)
  const developing: Developing = develop(project, { session, loader, say, onStep: step, startedMs, signal })
  context.add('project', () => developing.close())
  await unlessAborted(signal, () => developing.first)
  isStarting = false
  const { catalog } = developing
  const link = uiUrl === null ? null : () => uiLink(context, uiUrl)
  return { url, link, example: catalog === null ? null : await unlessAborted(signal, () => exampleOf(context, catalog)) }
}

/** A request for a prediction if a model is served, else for features. */
async function exampleOf(context: Context, catalog: Catalog): Promise<Example | null> {
  const model = [...catalog.models.values()].find(({ versions }) => versions.length > 0)
  const service = model === undefined ? [...catalog.services.values()].at(-1) : catalog.service(model.spec.service)
  if (service === undefined) return null
  const found = await createReadingContext(context, catalog)
  const entity = await exampleEntity({ ...found, db: await context.database() }, service)
  return model === undefined ? featuresExample(service.name, entity) : predictExample(model.name, entity)
}

/**
 * A development store reads nothing that others use: a stream would lose its messages to it. Unless a level is set,
 * only errors are logged, since changes are printed.
 */
function devConfig(config: Config, directory: string): Config {
  return {
    ...config,
    directory,
    filesDirectory: join(directory, 'files'),
    trainers: config.trainers ?? join(dirname(config.definitions), 'trainers'),
    postgresUrl: null,
    redisUrl: null,
    redisReads: 'primary',
    streamRedisUrl: null,
    natsUrl: null,
    kafkaUrl: null,
    schemaRegistryUrl: null,
    signingKeys: null,
    metricsPort: null,
    auth: isLoopback(config.host) ? 'off' : config.auth,
    logLevel: config.logLevel === 'info' ? 'error' : config.logLevel,
  }
}

/** The first free port from the configured one on. */
async function freePort({ host, port }: Config): Promise<number> {
  for (let tried = port; ; tried++) {
    try {
      return await tryPort(host, tried)
    } catch (error) {
      const isTaken = error instanceof LockstepError && error.code === 'PORT_IN_USE'
      if (!isTaken || tried === 65_535 || tried >= port + portsTried) throw error
    }
  }
}

/** Keeps the views current, except while something else brings them up to date. */
function keepUnless(context: Context, keeper: EmbeddedKeeper) {
  let stop = new AbortController()
  let keeping: Promise<void> = Promise.resolve()
  async function end(): Promise<void> {
    stop.abort()
    await keeping
  }
  return {
    end,
    async without<T>(work: () => Promise<T>): Promise<T> {
      await end()
      try {
        return await work()
      } finally {
        stop = new AbortController()
        keeping = keeper.keep(AbortSignal.any([stop.signal, context.signal]))
      }
    },
  }
}
