import { randomUUID } from 'node:crypto'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { LoadReply, LoadRequest } from '../registry/load-request.ts'
import { loadReplyNotice } from '../registry/load-request.ts'
import type { Database } from '../runtime/database.ts'
import type { Logger } from '../runtime/log.ts'
import type { LiveCatalog } from './live-catalog.ts'
import type { ModelHost } from './model-host.ts'

export interface LoadOnRequestDeps {
  /** Throws where it is away. */
  readonly database: () => Database
  readonly catalog: LiveCatalog
  readonly models: ModelHost
  readonly log: Logger
}

/** They say nothing about the version: this server does not know it yet, or cannot read it now. */
const passing: ReadonlySet<string> = new Set(['NOT_READY', 'POSTGRES_UNAVAILABLE', 'UNKNOWN_DEFINITION'])

/** Loads versions that are about to be promoted, and says so to whoever promotes them. Never rejects. */
export function createLoadOnRequest({ database, catalog, models, log }: LoadOnRequestDeps): (request: LoadRequest) => Promise<void> {
  const server = randomUUID()

  async function load({ model, version }: LoadRequest): Promise<Omit<LoadReply, 'server'>> {
    try {
      const isKnown = () => catalog.loaded?.models.get(model)?.versions.some((each) => each.version === version) === true
      // it may have been pushed just now, even after a refresh that is under way has read the registry
      for (let i = 0; i < 2 && !isKnown(); i++) await catalog.refresh(database())
      await models.use(catalog.current(), model, version, async () => undefined)
      return { state: 'loaded', message: '' }
    } catch (error) {
      log.warn({ model, version, error: messageOf(error) }, 'a version that is to be promoted does not load')
      const state = error instanceof LockstepError && passing.has(error.code) ? 'late' : 'refused'
      return { state, message: messageOf(error) }
    }
  }

  return async (request) => {
    const reply = async (said: Omit<LoadReply, 'server'>) =>
      await database().query('select pg_notify($1, $2)', [request.replyTo, loadReplyNotice({ server, ...said })])
    try {
      await reply({ state: 'loading', message: '' })
      await reply(await load(request))
    } catch (error) {
      log.warn({ model: request.model, version: request.version, error: messageOf(error) }, 'whoever promotes a version was not told of it')
    }
  }
}
