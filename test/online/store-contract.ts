import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import fc from 'fast-check'
import type { Frontier } from '../../kernel/states/frontier.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { maxKeyBytes } from '../../kernel/values/entity-key.ts'
import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { checkpointEntity, noBytes } from '../../online/store.ts'
import { budget } from '../budget.ts'
import { increment, incrementElsewhere } from './increment.ts'
import { expecting, stored, storedBody, storedCount } from './stored-bytes.ts'

export interface StoreFixture {
  /** Another handle on the same store. */
  open(): Promise<OnlineStore>
  /** Empties the store without its knowledge, as an operator would. */
  empty(): Promise<void>
  /** Arguments for test/online/increment-process.ts that open the same store. */
  readonly address: readonly string[]
  dispose(): Promise<void>
}

/** The contract of every online store; each implementation's test file calls it. */
export function storeContract(name: string, setUp: () => Promise<StoreFixture>): void {
  describe(`the ${name} store`, () => {
    let fixture: StoreFixture
    let store: OnlineStore
    beforeAll(async () => {
      fixture = await setUp()
      store = await fixture.open()
    })
    afterAll(async () => {
      await store?.close()
      await fixture?.dispose()
    })

    it('answers null for keys that are absent, and nothing for no keys', async () => {
      expect(await store.read([keyOf('absent@1', 'a'), keyOf('absent@1', 'b')])).toEqual([null, null])
      expect(await store.read([])).toEqual([])
      expect(await store.write([])).toEqual([])
    })

    it('answers in the order of the keys, duplicates included', async () => {
      const [a, b] = [keyOf('order@1', 'a'), keyOf('order@1', 'b')]
      await store.write([put(b, null, stored(1, 'bee')), put(a, null, stored(1, 'ay'))])
      expect(await store.read([b, a, keyOf('order@1', 'c'), b, b])).toEqual([
        stored(1, 'bee'),
        stored(1, 'ay'),
        null,
        stored(1, 'bee'),
        stored(1, 'bee'),
      ])
    })

    it('keeps the answers of concurrent reads apart', async () => {
      const keys = Array.from({ length: 300 }, (_, i) => keyOf('many@1', `k${i}`))
      await store.write(keys.map((key, i) => put(key, null, stored(1, `v${i}`))))
      const reads = await Promise.all(keys.map((_, i) => store.read(keys.slice(i % 7, i + 1))))
      for (const [i, values] of reads.entries()) {
        expect(values.map(bodyOf)).toEqual(keys.slice(i % 7, i + 1).map((_, at) => `v${at + (i % 7)}`))
      }
    })

    it('reads and writes more keys at once than fit one command', async () => {
      const keys = Array.from({ length: 2_501 }, (_, i) => keyOf('wide@1', `k${i}`))
      expect(await store.write(keys.map((key, i) => put(key, null, stored(1, `${i}`))))).toEqual(keys.map(() => true))
      expect((await store.read(keys)).map(bodyOf)).toEqual(keys.map((_, i) => `${i}`))
    })

    it('stores under an expected absence only if the key is absent', async () => {
      const key = keyOf('cas@1', 'absent')
      expect(await store.write([put(key, null, stored(5, 'first'))])).toEqual([true])
      expect(await store.write([put(key, null, stored(6, 'second'))])).toEqual([false])
      expect(await store.read([key])).toEqual([stored(5, 'first')])
    })

    it('stores over an expected frontier only if it is the stored one', async () => {
      const key = keyOf('cas@1', 'frontier')
      expect(await store.write([put(key, 5, stored(6, 'too early'))])).toEqual([false])
      expect(await store.read([key])).toEqual([null])
      await store.write([put(key, null, stored(5, 'first'))])
      expect(await store.write([put(key, 4, stored(6, 'behind'))])).toEqual([false])
      expect(await store.write([put(key, 6, stored(7, 'ahead'))])).toEqual([false])
      expect(await store.read([key])).toEqual([stored(5, 'first')])
      expect(await store.write([put(key, 5, stored(6, 'next'))])).toEqual([true])
      expect(await store.read([key])).toEqual([stored(6, 'next')])
    })

    it('takes frontier zero, and frontiers beyond 2^32, exactly', async () => {
      const key = keyOf('cas@1', 'wide')
      const far = 2 ** 52 + 1
      expect(await store.write([put(key, null, stored(0, 'zero'))])).toEqual([true])
      expect(await store.write([put(key, -0, stored(far, 'far'))])).toEqual([true])
      expect(await store.write([put(key, far - 1, stored(1, 'no'))])).toEqual([false])
      expect(await store.write([put(key, far, stored(far + 1, 'farther'))])).toEqual([true])
    })

    it('distinguishes frontiers with a common start, before any body', async () => {
      const key = keyOf('cas@1', 'ranges')
      const [one, two] = [
        { from: 7, to: 9 },
        { from: 300, to: 70_000 },
      ]
      const frontiers = [
        { below: 5, beyond: [] },
        { below: 5, beyond: [one] },
        { below: 5, beyond: [one, two] },
      ]
      for (const [i, present] of frontiers.entries()) {
        const [before] = await store.read([key])
        await store.write([put(key, before ? (frontiers[i - 1] as Frontier) : null, stored(present, '\x02\x02\x02'))])
        for (const other of frontiers) {
          if (other !== present) expect(await store.write([put(key, other, stored(9, 'no'))])).toEqual([false])
        }
        expect(await store.read([key])).toEqual([stored(present, '\x02\x02\x02')])
      }
    })

    it('never overwrites bytes of another program, for any first byte', async () => {
      const known = stored(5, 'state')
      const foreign = ['', '?', 'another program', known.toString('latin1', 0, 2), `\x01${known.toString('latin1', 1)}`]
      const keys = foreign.map((_, i) => keyOf('foreign@1', `${i}`))
      await store.write(keys.map((key, i) => ({ ...key, expected: null, bytes: Buffer.from(foreign[i] ?? '', 'latin1') })))
      for (const frontier of [null, 5, { below: 5, beyond: [{ from: 7, to: 9 }] }]) {
        expect(await store.write(keys.map((key) => put(key, frontier, stored(6, 'ours'))))).toEqual(keys.map(() => false))
      }
      expect((await store.read(keys)).map((bytes) => bytes?.toString('latin1'))).toEqual(foreign)
    })

    it('decides each entry of one call separately, in order', async () => {
      const [a, b, c] = [keyOf('mixed@1', 'a'), keyOf('mixed@1', 'b'), keyOf('mixed@1', 'c')]
      await store.write([put(a, null, stored(1, 'a')), put(b, null, stored(1, 'b'))])
      const outcome = await store.write([
        put(a, 1, stored(2, 'A')),
        put(b, 9, stored(2, 'B')),
        put(c, null, stored(1, 'c')),
        put(c, 1, stored(2, 'C')),
      ])
      expect(outcome).toEqual([true, false, true, true])
      expect((await store.read([a, b, c])).map(bodyOf)).toEqual(['A', 'b', 'C'])
    })

    it('loses no increment of several processes that write the same keys', async () => {
      const [processes, increments] = [2, 150]
      await Promise.all(Array.from({ length: processes }, () => incrementElsewhere(fixture.address, increments)))
      const counts = await store.read([keyOf('increment@1', 'a'), keyOf('increment@1', 'b')])
      expect(counts.map((bytes) => bytes && storedCount(bytes))).toEqual([processes * increments, processes * increments])
    })

    it('loses no increment of several handles in one process', async () => {
      const handles = await Promise.all([fixture.open(), fixture.open(), fixture.open()])
      const key = keyOf('handles@1', 'k')
      await Promise.all(handles.map((handle) => increment(handle, key, 30)))
      const [bytes] = await store.read([key])
      expect(bytes && storedCount(bytes)).toBe(90)
      for (const handle of handles) await handle.close()
    })

    it('sees writes of another handle at once', async () => {
      const other = await fixture.open()
      const key = keyOf('fresh@1', 'k')
      await other.write([put(key, null, stored(1, ''))])
      for (let frontier = 1; frontier < 50; frontier++) {
        const [bytes] = await store.read([key])
        expect(bytes && storedCount(bytes)).toBe(frontier)
        await other.write([put(key, frontier, stored(frontier + 1, ''))])
      }
      await other.close()
    })

    it('keeps any bytes as keys apart', async () => {
      let round = 0
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(binaryKey, { minLength: 1, maxLength: 20 }), async (keys) => {
          const view: DefinitionId = `binary${round++}@1`
          const entries = keys.map((key, i) => put(keyOf(view, key), null, stored(1, `${i}`)))
          expect(await store.write(entries)).toEqual(keys.map(() => true))
          expect((await store.read(entries)).map(bodyOf)).toEqual(keys.map((_, i) => `${i}`))
        }),
        { numRuns: budget(50) },
      )
    })

    it('keeps keys apart that look like another key with its view', async () => {
      const a: OnlineKey = { view: 'w@1', entity: 'e', key: 'x}:v@1' }
      const b: OnlineKey = { view: 'v@1', entity: 'e', key: 'x' }
      const c: OnlineKey = { view: 'v@1', entity: 'e', key: 'x}:v@1' }
      await store.write([put(a, null, stored(1, 'a')), put(b, null, stored(1, 'b')), put(c, null, stored(1, 'c'))])
      expect((await store.read([a, b, c])).map(bodyOf)).toEqual(['a', 'b', 'c'])
    })

    it('takes the longest key that the kernel allows', async () => {
      const long = { view: `${'v'.repeat(63)}@1`, entity: 'e'.repeat(63) } as const
      const keys = ['a', 'b'].map((end) => ({ ...long, key: `${'\xff'.repeat(maxKeyBytes - 1)}${end}` }))
      await store.write(keys.map((key, i) => put(key, null, stored(1, `${i}`))))
      expect((await store.read(keys)).map(bodyOf)).toEqual(['0', '1'])
    })

    it('takes values of a megabyte, and the reader keeps its bytes', async () => {
      const keys = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => keyOf('big@1', key))
      const body = 'x'.repeat(1_000_000)
      expect(await store.write(keys.map((key) => put(key, null, stored(1, body + key.key))))).toEqual(keys.map(() => true))
      const values = await store.read(keys)
      values[0]?.fill(0)
      await store.write(keys.map((key) => put(key, 1, stored(2, 'small'))))
      expect(values.slice(1).map(bodyOf)).toEqual(keys.slice(1).map((key) => body + key.key))
      expect((await store.read(keys)).map(bodyOf)).toEqual(keys.map(() => 'small'))
    })

    it('reports certainly which keys exist and which do not', async () => {
      const [there, absent] = [keyOf('sure@1', 'there'), keyOf('sure@1', 'absent')]
      await store.write([put(there, null, stored(1, 'x'))])
      await store.parts?.mark()
      expect(await store.parts?.lost()).not.toBe(true)
      expect(await store.read([absent, there, absent], { sure: true })).toEqual([null, stored(1, 'x'), null])
      expect(await store.read([], { sure: true })).toEqual([])
    })

    it('removes one view and keeps those with a common prefix or suffix', async () => {
      const views: DefinitionId[] = ['gone@1', 'gone@11', 'gone@2', 'gon@1', 'begone@1', 'gone_too@1']
      const keys = views.flatMap((view) => ['a', '}:gone@1', '*', '\0'].map((key) => keyOf(view, key)))
      await store.write(keys.map((key) => put(key, null, stored(1, ''))))
      expect(await store.removeView('gone@1')).toBe(4)
      expect((await store.read(keys)).map((bytes) => bytes !== null)).toEqual(keys.map((key) => key.view !== 'gone@1'))
      expect(await store.removeView('gone@1')).toBe(0)
      expect(await store.write([put(keyOf('gone@1', 'a'), null, stored(1, 'again'))])).toEqual([true])
    })

    it('lists all keys of one view, in bounded groups and without its checkpoint', async () => {
      const views: DefinitionId[] = ['listed@1', 'listed@11', 'listed@2', 'unlisted@1']
      const odd = ['', '\0', '*', '}:listed@1', '\xff\xc3\x28', 'a\x1f', '\x20']
      const many = Array.from({ length: 5_500 }, (_, i) => `k${i}`)
      const keys = [...views.flatMap((view) => odd.map((key) => keyOf(view, key))), ...many.map((key) => keyOf('listed@1', key))]
      const checkpoint = { view: 'listed@1', entity: checkpointEntity, key: '' } as const
      await store.write([...keys, checkpoint].map((key) => put(key, null, stored(1, ''))))
      const found: string[] = []
      for await (const group of store.keys('listed@1', 'thing')) {
        expect(group.length).toBeLessThan(5_000)
        found.push(...group)
      }
      expect([...new Set(found)].sort()).toEqual([...odd, ...many].sort())
      for await (const group of store.keys('unheard@1', 'thing')) expect(group).toEqual([])
    })

    it('measures views without their checkpoints, a large store by a sample', async () => {
      const keys = Array.from({ length: 12_000 }, (_, i) => keyOf('sized@1', `k${i}`))
      const few = ['', '}', '\xff'].map((key) => keyOf('sized@11', key))
      const checkpoint = { view: 'sized@11', entity: checkpointEntity, key: '' } as const
      await store.write([...keys, ...few, checkpoint].map((key) => put(key, null, stored(1, 'x'.repeat(100)))))
      const { sampled, byView } = await store.sizes(['sized@1', 'sized@11', 'unheard@1'])
      const large = byView.get('sized@1')
      // six standard deviations
      expect(Math.abs((large?.states ?? 0) / 12_000 - 1)).toBeLessThan(sampled === null ? 1e-9 : 0.1)
      expect((large?.bytes ?? 0) / (large?.states ?? 1)).toBeGreaterThan(100)
      expect((large?.bytes ?? 0) / (large?.states ?? 1)).toBeLessThan(400)
      expect(byView.get('unheard@1')).toEqual({ states: 0, bytes: 0 })
      if (store.kind === 'embedded') expect([sampled, byView.get('sized@11')?.states]).toEqual([null, 3])
      else expect(sampled).toBeGreaterThan(1_000)
      await store.removeView('sized@1')
    })

    it('removes a view except for the given key', async () => {
      const kept = keyOf('keeping@1', '~')
      const keys = [...Array.from({ length: 4_000 }, (_, i) => keyOf('keeping@1', `k${i}`)), kept]
      await store.write(keys.map((key) => put(key, null, stored(1, ''))))
      expect(await store.removeView('keeping@1', kept)).toBe(4_000)
      expect(await store.removeView('keeping@1', kept)).toBe(0)
      expect(await store.read([kept])).toEqual([stored(1, '')])
      expect(await store.removeView('keeping@1')).toBe(1)
    })

    it('removes a key over its expected frontier, and no other', async () => {
      const key = keyOf('erased@1', 'a')
      await store.write([put(key, null, stored(1, 'x'))])
      expect(await store.write([put(key, 2, noBytes), put(key, null, noBytes)])).toEqual([false, false])
      expect(await store.read([key])).toEqual([stored(1, 'x')])
      expect(await store.write([put(key, 1, noBytes)])).toEqual([true])
      expect(await store.read([key])).toEqual([null])
      expect(await store.write([put(key, 1, noBytes)])).toEqual([false])
    })

    it('removes a view in steps, until it is stopped', async () => {
      const keys = Array.from({ length: 8_000 }, (_, i) => keyOf('steps@1', `k${i}`))
      await store.write(keys.map((key) => put(key, null, stored(1, 'x'))))
      let steps = 0
      let counted = 0
      const first = await store.removeView('steps@1', undefined, async (step) => {
        const gone = await step()
        counted += gone
        return ++steps < 2
      })
      expect([first, first < keys.length]).toEqual([counted, true])
      expect(first + (await store.removeView('steps@1'))).toBe(keys.length)
    })

    it('removes all keys of a large view', async () => {
      const keys = Array.from({ length: 4_345 }, (_, i) => keyOf('crowd@1', `k${i}`))
      await store.write(keys.map((key) => put(key, null, stored(1, ''))))
      expect(await store.removeView('crowd@1')).toBe(keys.length)
      expect((await store.read(keys)).every((bytes) => bytes === null)).toBe(true)
    })

    it('answers a ping', async () => {
      expect((await store.ping()).filter(({ answers }) => answers === false)).toEqual([])
    })

    it('keeps bytes and identity across openings, and changes identity once emptied', async () => {
      const key = keyOf('lasting@1', 'k')
      const first = await fixture.open()
      const identity = await first.identity()
      await first.write([put(key, null, stored(3, 'kept'))])
      await first.close()
      const second = await fixture.open()
      expect(await Promise.all([second.identity(), second.identity(), store.identity()])).toEqual([identity, identity, identity])
      expect(await second.read([key])).toEqual([stored(3, 'kept')])
      await store.close()
      await second.close()
      await fixture.empty()
      store = await fixture.open()
      expect(await store.identity()).not.toBe(identity)
      expect(await store.read([key])).toEqual([null])
    })

    it('closes twice without complaint', async () => {
      const handle = await fixture.open()
      await handle.close()
      await handle.close()
    })
  })
}

const binaryKey = fc
  .oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .constantFrom('', '\0', '\0\0', '}', '{', '{}', '}:', '\xff', '\x1f', '\0\x1f', '\xc3\x28')
      .map((text) => Buffer.from(text, 'latin1')),
  )
  .map((bytes) => Buffer.from(bytes).toString('latin1'))

function keyOf(view: DefinitionId, key: string): OnlineKey {
  return { view, entity: 'thing', key }
}

function put(key: OnlineKey, frontier: number | Frontier | null, bytes: Buffer) {
  return { ...key, expected: frontier === null ? null : expecting(frontier), bytes }
}

function bodyOf(bytes: Buffer | null): string | null {
  return bytes && storedBody(bytes)
}
