import type { Redis } from 'ioredis'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { redisKey } from '../../online/redis-key.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { FeatureReaderDeps } from '../../serving/features/read-features.ts'
import { readFeatures } from '../../serving/features/read-features.ts'
import { clock } from '../in-process.ts'
import { moment } from './customers.ts'

const customerKey = [{ name: 'customer', type: { kind: 'int64' } }] as const

export function keyOf(customer: number): EntityKey {
  return encodeKey(customerKey, [BigInt(customer)])
}

/** Customers in no particular order, as many as asked for. */
export function someCustomers(customers: number, wanted: number): number[] {
  let seed = 1
  return Array.from({ length: wanted }, () => {
    seed = (seed * 48_271) % 2_147_483_647
    return 1 + (seed % customers)
  })
}

export interface ReadingPlace {
  readonly redis: Redis
  readonly store: OnlineStore
  readonly prefix: string
}

/** Reads the features of these customers by the function that the server uses. */
function reader({ store }: ReadingPlace, service: ServicePlan): (customers: readonly number[]) => Promise<unknown> {
  const deps: FeatureReaderDeps = {
    store,
    isOnline: () => true,
    written: async () => new Set<string>(),
    history: () => Promise.reject(new Error('The bench asks for what is in the store.')),
  }
  const uses = service.uses.length
  return async (customers) => {
    const entities = customers.map((customer) => {
      const key = keyOf(customer)
      return { keys: Array.from({ length: uses }, () => key), request: [] }
    })
    const { rows } = await readFeatures(deps, service, entities, { asOf: moment, asked: false })
    if (rows.length !== customers.length || rows[0]?.statuses[0] !== 0) throw new Error('The bench read no features.')
  }
}

/**
 * Reads the bytes that `reader` would decode, by one MGET for all reads of one turn of the event loop. The keys are
 * made before.
 */
function bareReader({ redis }: ReadingPlace): (keys: readonly string[]) => Promise<readonly (Buffer | null)[]> {
  interface Asked {
    readonly keys: readonly string[]
    resolve(values: (Buffer | null)[]): void
  }
  let waiting: Asked[] = []
  const flush = async (): Promise<void> => {
    const asked = waiting
    waiting = []
    const values = await redis.mgetBuffer(asked.flatMap(({ keys }) => keys))
    let at = 0
    for (const { keys, resolve } of asked) resolve(values.slice(at, (at += keys.length)))
  }
  return (keys) =>
    new Promise((resolve) => {
      if (waiting.length === 0) setImmediate(() => void flush())
      waiting.push({ keys, resolve })
    })
}

/** Reads each batch in turn, a fixed number at once. @returns seconds */
async function askAll<Batch>(batches: readonly Batch[], inFlight: number, ask: (batch: Batch) => Promise<unknown>): Promise<number> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) await ask(batch)
  }
  return await clock(() => Promise.all(Array.from({ length: inFlight }, lane)))
}

export interface ReadRatios {
  readonly bulk: number
  readonly single: number
  /** Entities a second by Lockstep's reader. */
  readonly bulkRate: number
  readonly singleRate: number
}

const rounds = 7

/** The medians of alternating rounds. */
export async function readRatios(place: ReadingPlace, service: ServicePlan, customers: number, wanted: number): Promise<ReadRatios> {
  const read = reader(place, service)
  const bare = bareReader(place)
  const keys = (of: readonly number[]) =>
    of.flatMap((customer) =>
      service.uses.map(({ plan }) => redisKey(place.prefix, { view: plan.id, entity: 'customer', key: keyOf(customer) })),
    )
  const batches = chunks(someCustomers(customers, wanted), 100)
  const singles = chunks(someCustomers(customers, wanted), 1)
  const [bareBatches, bareSingles] = [batches.map(keys), singles.map(keys)]
  const times: Record<'bulk' | 'bareBulk' | 'single' | 'bareSingle', number[]> = { bulk: [], bareBulk: [], single: [], bareSingle: [] }
  for (let round = 0; round <= rounds; round++) {
    const taken = {
      bareBulk: await askAll(bareBatches, 1, bare),
      bulk: await askAll(batches, 1, read),
      bareSingle: await askAll(bareSingles, 64, bare),
      single: await askAll(singles, 64, read),
    }
    if (round > 0) for (const key of ['bulk', 'bareBulk', 'single', 'bareSingle'] as const) times[key].push(taken[key])
  }
  const least = (of: readonly number[]) => Math.min(...of)
  return {
    bulk: least(times.bareBulk) / least(times.bulk),
    single: least(times.bareSingle) / least(times.single),
    bulkRate: Math.round(wanted / least(times.bulk)),
    singleRate: Math.round(wanted / least(times.single)),
  }
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}
