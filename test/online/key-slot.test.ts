import fc from 'fast-check'
import { expect, it } from 'vitest'
import { keySlot } from '../../online/key-slot.ts'
import { asking, ownRedis } from '../services/own-redis.ts'

it('gives every key the slot that Redis gives it', async () => {
  const part = fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('{', '}', '{}', '\x80\xff'))
  const keys = fc.sample(
    fc.array(part, { maxLength: 5 }).map((parts) => parts.join('')),
    2_000,
  )
  const server = await ownRedis('redis-server', { args: ['--cluster-enabled', 'yes', '--cluster-port', '0'] })
  const slots = await asking(server.port, (redis) => Promise.all(keys.map((key) => redis.call('CLUSTER', ['KEYSLOT', key]))))
  expect(keys.map(keySlot)).toEqual(slots)
  await server.stop()
})
