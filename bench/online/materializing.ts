import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { redisKey } from '../../online/redis-key.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { clock, peakRssMb } from '../in-process.ts'
import type { ReadStream } from '../streams.ts'
import { drain, recording } from '../streams.ts'
import { keyOf } from './reading.ts'
import { moment } from './customers.ts'

export interface Materialized {
  readonly rows: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRssMb: number
  readonly streams: readonly ReadStream[]
}

export async function materialized(db: Database, store: OnlineStore, plan: ViewPlan): Promise<Materialized> {
  const streams: ReadStream[] = []
  let rows = 0
  const seconds = await clock(async () => (rows = (await materializeView(recording(db, streams), store, plan, { moment })).rows))
  const { user, system } = process.cpuUsage()
  return { rows, seconds, cpuSeconds: (user + system) / 1e6, peakRssMb: peakRssMb(), streams }
}

export interface MaterializeFloor {
  readonly drainSeconds: number
  readonly setSeconds: number
}

const keysPerPipeline = 500
const pipelinesPerRound = 20

/**
 * Measures the two floors: the driver drains the streams that were read, and ioredis stores the same bytes under new
 * keys by SETs in pipelines, two at once.
 */
export async function materializeFloor(
  db: Database,
  { redisUrl, prefix, plan, customers }: { redisUrl: string; prefix: string; plan: ViewPlan; customers: number },
  streams: readonly ReadStream[],
): Promise<MaterializeFloor> {
  const drainSeconds = await clock(() => drain(db, streams))
  const redis = openRedis(redisUrl)
  let setSeconds = 0
  for (let first = 1; first <= customers; first += keysPerPipeline * pipelinesPerRound) {
    const size = Math.min(keysPerPipeline * pipelinesPerRound, customers - first + 1)
    const keys = Array.from({ length: size }, (_, i): OnlineKey => ({ view: plan.id, entity: 'customer', key: keyOf(first + i) }))
    const values = await redis.mgetBuffer(keys.map((key) => redisKey(prefix, key)))
    const fresh = keys.map((key) => redisKey(`${prefix}-floor`, key))
    setSeconds += await clock(async () => {
      let before: Promise<unknown> = Promise.resolve()
      for (let start = 0; start < size; start += keysPerPipeline) {
        const pipeline = redis.pipeline()
        for (let i = start; i < Math.min(start + keysPerPipeline, size); i++) pipeline.set(fresh[i] as string, values[i] as Buffer)
        const sent = pipeline.exec()
        await before
        before = sent
      }
      await before
    })
    await redis.unlink(...fresh)
  }
  await redis.quit()
  return { drainSeconds, setSeconds }
}
