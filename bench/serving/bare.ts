import { InferenceSession, Tensor } from '../../inference/onnx-runtime.ts'
import { redisKey } from '../../online/redis-key.ts'
import { createRedisReader } from '../../online/redis-reader.ts'
import type { Config } from '../../runtime/config.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { clock, median } from '../in-process.ts'
import { keyOf, someCustomers } from '../online/reading.ts'
import { perceptron } from './perceptron.ts'
import { views, width } from './set-up.ts'

/**
 * Measures bare MGETs of the keys that predictions read, by the Redis client or by the store's own reader: of a hundred
 * customers, several requests at once; and of a single customer, the median in microseconds.
 */
export async function bareReads(
  config: Config,
  customers: number,
  { by, atOnce, seconds }: { readonly by: 'client' | 'reader'; readonly atOnce: number; readonly seconds: number },
): Promise<{ readonly entitiesPerSecond: number; readonly oneUs: number }> {
  const redis = openRedis(config.redisUrl as string)
  const reader = createRedisReader(redis)
  const read = (keys: string[]) => (by === 'client' ? redis.mgetBuffer(keys) : reader.read(keys))
  const keysOf = (customer: number) =>
    views.map((view) => redisKey(config.redisPrefix, { view: `${view}@1`, entity: 'customer', key: keyOf(customer) }))
  const all = someCustomers(customers, 10_000)
  const hundreds = Array.from({ length: 100 }, (_, i) => all.slice(i * 100, (i + 1) * 100).flatMap(keysOf))
  const found = (await read(hundreds[0] as string[])).filter((value) => value !== null)
  if (found.length !== 500) throw new Error(`Redis has ${found.length} of 500 states.`)
  let asked = 0
  const lanes = async (forSeconds: number): Promise<number> => {
    asked = 0
    const until = performance.now() + forSeconds * 1000
    const lane = async () => {
      while (performance.now() < until) await read(hundreds[asked++ % hundreds.length] as string[])
    }
    return await clock(() => Promise.all(Array.from({ length: atOnce }, lane)))
  }
  await lanes(0.5)
  const took = await lanes(seconds)
  const entitiesPerSecond = (asked * 100) / took
  const ones = all.map(keysOf)
  const times: number[] = []
  for (const keys of ones) times.push((await clock(() => read(keys))) * 1e6)
  await reader.close()
  await redis.quit()
  return { entitiesPerSecond, oneUs: median(times) }
}

/** The median time to run the model on one row, microseconds. */
export async function bareRunUs(): Promise<number> {
  const session = await InferenceSession.create(perceptron(width, 64), { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const times: number[] = []
  for (let run = 0; run < 3000; run++) {
    const features = new Tensor('float32', new Float32Array(width), [1, width])
    times.push((await clock(() => session.run({ features }))) * 1e6)
  }
  await session.release()
  return median(times)
}
