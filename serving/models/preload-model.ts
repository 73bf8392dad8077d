import { randomUUID } from 'node:crypto'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { LoadReply, LoadRequest } from '../../registry/models/load-request.ts'
import { loadReplyNotice } from '../../registry/models/load-request.ts'
import type { TransformGuard } from '../../registry/transform-guard.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { LiveCatalog } from './live-catalog.ts'
import type { ModelHost } from './model-host.ts'

export interface ModelPreloaderDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  readonly catalog: Pick<LiveCatalog, 'loaded'>
  readonly models: ModelHost
  readonly transforms: TransformGuard
  readonly log: Logger
}

/** Loads a version that is about to be promoted, and replies to the promotion. Never rejects. */
export function createModelPreloader({
  database,
  catalog,
  models,
  transforms,
  log,
}: ModelPreloaderDeps): (request: LoadRequest) => Promise<void> {
  const server = randomUUID()

  async function load({ model, version, revision }: LoadRequest): Promise<Omit<LoadReply, 'server'>> {
    let known = catalog.loaded
    try {
      // the catalog in force may wait for another model that loads slowly; this version must not
      if (known === null || known.revision < revision) known = await loadCatalog(database(), transforms)
    } catch (error) {
      log.warn({ model, version, error: messageOf(error) }, 'the registry cannot be read to promote a version')
      return { state: 'late', message: messageOf(error) }
    }
    try {
      const { tried } = await models.load(known, model, version)
      return { state: tried ? 'loaded' : 'untried', message: '' }
    } catch (error) {
      log.warn({ model, version, error: messageOf(error) }, 'a version to be promoted does not load')
      const isUnavailable = error instanceof LockstepError && error.code === 'POSTGRES_UNAVAILABLE'
      return { state: isUnavailable ? 'late' : 'refused', message: messageOf(error) }
    }
  }

  return async (request) => {
    const reply = async (message: Omit<LoadReply, 'server'>) =>
      await database().query('select pg_notify($1, $2)', [request.replyTo, loadReplyNotice({ server, ...message })])
    try {
      if (catalog.loaded !== null && !models.keeps(catalog.loaded, request.model)) {
        await reply({ state: 'unneeded', message: '' })
        return
      }
      await reply({ state: 'loading', message: '' })
      await reply(await load(request))
    } catch (error) {
      log.warn(
        { model: request.model, version: request.version, error: messageOf(error) },
        'the result of loading a version could not be reported',
      )
    }
  }
}
