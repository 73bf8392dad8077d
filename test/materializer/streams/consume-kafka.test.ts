import type { Schema } from 'avsc'
import avro from 'avsc'
import { expect, it, vi } from 'vitest'
import { readDeadLetters } from '../../../materializer/streams/dead-letters.ts'
import { retryDeadLetters } from '../../../materializer/streams/retry-dead-letters.ts'
import { kafkaProducer, serversAt } from '../../runtime/streams/producers.ts'
import { testSchemaRegistry } from '../../services/schema-registry.ts'
import { clicks } from './clicks.ts'
import { consumeContract } from './consume-contract.ts'

const record = (fields: readonly object[]): Schema => ({ type: 'record', name: 'Click', fields }) as Schema
const user = { name: 'user', type: 'string' }
const at = { name: 'at', type: { type: 'long', logicalType: 'timestamp-micros' } }
const first = record([user, at, { name: 'amount', type: ['null', 'double'], default: null }])
// a later schema: without a column, and with a field that is none
const second = record([{ name: 'note', type: 'string' }, at, user])

const encoded = (id: number, schema: Schema, value: object): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(id, 1)
  return Buffer.concat([head, avro.Type.forSchema(schema).toBuffer(value)])
}

// each of its tests waits for a group to form
consumeContract('Kafka', kafkaProducer, {
  whole: false,
  more({ producer, world, stream, consume, rows, drained }) {
    it('are read in Avro by the schemas that they were written with, and wait for their registry', async () => {
      const registry = await testSchemaRegistry()
      try {
        const ids = [await registry.register(`${stream()}-value`, first), await registry.register(`${stream()}-value`, second)]
        const click = { user: 'a', at: Date.UTC(2026, 0, 1) * 1000 }
        const good = [encoded(ids[0] ?? 0, first, { ...click, amount: 5 }), encoded(ids[1] ?? 0, second, { ...click, note: 'n' })]
        const late = [7, 8].map((amount) => encoded(3, first, { ...click, amount }))
        const bad = [...late, good[0]?.subarray(0, -1) ?? '', '{"user":"a","at":"2026-01-01T00:00:00Z","amount":1}']
        const spec = producer().spec(stream())
        await world().apply(spec.kind === 'kafka' ? { ...spec, format: 'avro' } : null)
        await registry.stop()
        const counts = consume({ schemaRegistryUrl: registry.url })
        await producer().send(stream(), [...good, ...bad])
        await vi.waitFor(() => expect(counts.failures).toBeGreaterThan(1), 60_000)
        expect(counts).toMatchObject({ appended: 0, dead: 0 })
        await registry.start()
        await drained()
        await vi.waitFor(() => expect(counts).toMatchObject({ appended: 2, dead: 4 }), 60_000)
        expect(await world().online(['a'])).toEqual([[2, 5]])
        // each schema was asked for once
        expect(registry.asked()).toBe(3)
        const letters = await readDeadLetters(world().db, { source: 'clicks' })
        expect(letters.map(({ reason }) => reason).toSorted()).toEqual(['not_avro', 'not_avro', 'unknown_schema', 'unknown_schema'])
        expect(letters.map(({ error }) => error).join(' ')).toContain(
          `The message has the schema 3, which the schema registry at "${new URL(registry.url).host}" lacks.`,
        )
        // registered later, they can be taken
        await registry.register('late', first)
        const retried = await retryDeadLetters(
          {
            db: world().db,
            source: () => clicks,
            streams: new Map([['clicks', { kind: 'kafka', stream: stream(), group: 'g', format: 'avro' } as const]]),
            config: { ...serversAt(''), schemaRegistryUrl: registry.url },
            fold: async () => undefined,
            futureMicros: 0,
            clock: () => Date.now() * 1000,
          },
          letters,
        )
        expect([retried.taken.length, retried.failed.length, await rows()]).toEqual([2, 2, 4])
        expect(registry.asked()).toBe(5)
      } finally {
        await registry.stop()
      }
    })
  },
})
