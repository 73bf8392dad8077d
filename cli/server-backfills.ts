import { LockstepError } from '../kernel/errors.ts'
import { beginBackfill, cancelBackfill } from '../materializer/backfill.ts'
import { readBackfill, readBackfills } from '../materializer/backfills.ts'
import { materializeView } from '../materializer/materialize.ts'
import type { Config } from '../runtime/config.ts'
import { isEmbedded } from '../runtime/database.ts'
import type { JobQueue } from '../runtime/job-queue.ts'
import { openEmbeddedJobQueue, openJobQueue } from '../runtime/job-queue.ts'
import type { BackfillDeps, Backfills } from '../serving/backfills.ts'
import { backfillJson } from './backfill-json.ts'
import { processName } from '../runtime/process-name.ts'

/** Backfills as the server shows and begins them; workers do them, or with the embedded database the server itself. */
export function createServerBackfills({ database, store }: BackfillDeps, config: Pick<Config, 'postgresUrl' | 'replaySeconds'>): Backfills {
  let opening: Promise<JobQueue> | null = null

  async function jobs(): Promise<JobQueue> {
    const db = database()
    opening ??= (isEmbedded(db) ? openEmbeddedJobQueue(db) : openJobQueue(config)).catch((error: unknown) => {
      opening = null
      throw error
    })
    return await opening
  }

  async function get(id: number): Promise<object> {
    const found = await readBackfill(database(), id, Date.now())
    if (found !== null) return backfillJson(found)
    throw new LockstepError('NOT_FOUND', `There is no backfill "${id}"; GET /v1/backfills lists them.`, { details: { id } })
  }

  return {
    get,
    list: async () => (await readBackfills(database(), Date.now())).map(backfillJson),
    async begin(plan, { events, chunks, by }) {
      const tools = { db: database(), store: store(), jobs: await jobs(), worker: processName() }
      const { id, joined } = await beginBackfill(tools, plan, { events, chunks, by, now: () => Date.now() * 1000 })
      return { ...(await get(id)), joined }
    },
    async materialize(plan) {
      await materializeView(database(), store(), plan, { replayMs: config.replaySeconds * 1000 })
    },
    async cancel(id, by) {
      await get(id)
      if (await cancelBackfill({ db: database(), jobs: await jobs() }, id, by)) return await get(id)
      throw new LockstepError('NOT_FOUND', `The backfill "${id}" is no longer running.`, { details: { id } })
    },
    close: async () => await (await opening?.catch(() => null))?.close(),
  }
}
