import type { Redis } from 'ioredis'
import type { Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { decodeStored } from '../../kernel/states/stored-state.ts'
import { redisKey } from '../../online/redis-key.ts'
import { moment } from './customers.ts'
import { keyOf, someCustomers } from './reading.ts'

export interface Sizes {
  /** Mean bytes of a Redis key and of its value. */
  readonly key: number
  readonly stored: number
  /** Mean bytes of the decoded values, each at the size of its column type. */
  readonly values: number
}

const sampled = 5_000

export async function sizesOf(redis: Redis, prefix: string, plan: ViewPlan, customers: number): Promise<Sizes> {
  const sizes = { key: 0, stored: 0, values: 0 }
  const keys = someCustomers(customers, sampled).map((customer) =>
    redisKey(prefix, { view: plan.id, entity: 'customer', key: keyOf(customer) }),
  )
  for (const [i, bytes] of (await redis.mgetBuffer(keys)).entries()) {
    if (bytes === null) throw new Error(`A customer of "${plan.id}" is not stored.`)
    sizes.key += Buffer.byteLength(keys[i] as string)
    sizes.stored += bytes.length
    for (const [f, value] of decodeStored(plan, bytes).valueAt(moment).values.entries()) sizes.values += bytesOf(plan, f, value)
  }
  return { key: sizes.key / sampled, stored: sizes.stored / sampled, values: sizes.values / sampled }
}

/**
 * The bytes that a tile adds to a stored state: compares customers with seven payments with those with three, each
 * payment in its own tile.
 */
export async function bytesPerTile(redis: Redis, prefix: string, plan: ViewPlan, customers: number): Promise<number> {
  const meanOf = async (remainder: number): Promise<number> => {
    const keys = someCustomers(Math.floor(customers / 5) - 1, sampled).map((n) =>
      redisKey(prefix, { view: plan.id, entity: 'customer', key: keyOf(5 * n + remainder) }),
    )
    return (await redis.mgetBuffer(keys)).reduce((sum, bytes) => sum + (bytes?.length ?? Number.NaN), 0) / sampled
  }
  return ((await meanOf(4)) - (await meanOf(0))) / 4
}

function bytesOf(plan: ViewPlan, feature: number, value: Value | null): number {
  switch (plan.features[feature]?.type.kind) {
    case 'bool':
      return 1
    case 'int32':
      return 4
    case 'string':
      return Buffer.byteLength(value as string)
    default:
      return 8
  }
}
