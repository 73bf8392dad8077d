import { fork } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { consumeStream } from '../../../materializer/streams/consume-stream.ts'
import { consumeStreams } from '../../../materializer/streams/consume-streams.ts'
import { countDeadLetters, dropDeadLetters, readDeadLetters } from '../../../materializer/streams/dead-letters.ts'
import { retryDeadLetters } from '../../../materializer/streams/retry-dead-letters.ts'
import { streamStatus } from '../../../materializer/streams/stream-status.ts'
import { watchStream } from '../../../materializer/streams/watch-stream.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { orTimeout, timedOut } from '../../../runtime/async.ts'
import type { StreamServers } from '../../../runtime/streams/open-consumer.ts'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import type { StreamMessage } from '../../../runtime/streams/stream-consumer.ts'
import { programFile } from '../../cli/run-lockstep.ts'
import type { Producer } from '../../runtime/streams/producers.ts'
import { serversAt } from '../../runtime/streams/producers.ts'
import type { ClicksWorld, Counts } from './clicks.ts'
import { clicks, countingMetrics, createClicksWorld, quietLog } from './clicks.ts'

const event = (user: string, amount: unknown, id?: string): string =>
  JSON.stringify({ user, at: '2026-01-01T00:00:00Z', amount, ...(id === undefined ? {} : { _event_id: id }) })

export interface ContractOptions {
  /** Also what does not depend on the kind of stream. */
  readonly whole?: boolean
  /** More tests. */
  readonly more?: (tools: ConsumeTools) => void
}

export interface ConsumeTools {
  producer(): Producer
  world(): ClicksWorld
  /** The stream of the present test. */
  stream(): string
  /** Reads the streams of the world until the end of the test. */
  consume(config?: Partial<StreamServers>): Counts
  rows(): Promise<number>
  drained(): Promise<void>
}

/** The contract for the messages of a stream of any kind. */
export function consumeContract(title: string, startProducer: () => Promise<Producer>, { whole = true, more }: ContractOptions = {}): void {
  describe(`the events of a ${title} stream`, () => {
    let producer: Producer
    let world: ClicksWorld
    let streams = 0
    let stream = ''
    const stops: (() => Promise<void>)[] = []

    beforeAll(async () => {
      producer = await startProducer()
    })
    beforeEach(async () => {
      world = await createClicksWorld()
      stream = `clicks${streams++}`
      await producer.make(stream)
      await world.apply(producer.spec(stream))
    })
    afterEach(async () => {
      for (const stop of stops.splice(0)) await stop()
      await world?.close()
    })
    afterAll(() => producer?.close())

    const general: (name: string, test: () => Promise<void>) => void = whole ? it : () => undefined
    const at = () => serversAt(producer.server.url)

    function consume(servers: Partial<StreamServers> = {}): Counts {
      const { counts, metrics } = countingMetrics()
      const stopped = new AbortController()
      const done = consumeStreams(
        {
          db: world.db,
          store: world.store,
          catalog: () => loadCatalog(world.db),
          config: { ...at(), ...servers, bodyLimitBytes: 1024, futureMicros: 600_000_000 },
          log: quietLog,
          metrics,
          clock: () => Date.now() * 1000,
        },
        { signal: stopped.signal, redeliverMs: Math.max(1_000, producer.redeliverMs) },
      )
      stops.push(async () => {
        stopped.abort()
        await done
      })
      return counts
    }
    const rows = async (): Promise<number> =>
      Number((await world.db.query<{ n: string }>('select count(*) n from lockstep_source.clicks'))[0]?.n)
    const lag = async () => {
      const [status] = await streamStatus(world.db, new Map([['clicks', producer.spec(stream)]]), at())
      return status?.lag
    }
    const drained = () =>
      vi.waitFor(async () => expect(await lag()).toEqual({ waiting: 0, pending: 0 }), { timeout: 60_000, interval: 100 })

    it('count once each: 10,000 with duplicates, two readers and a server restart', async () => {
      const users = Array.from({ length: 50 }, (_, i) => `user ${i}`)
      // every fifth says what one before it said, under the same id
      const sent = Array.from({ length: 10_000 }, (_, i) => (i % 5 === 4 ? i - 4 : i)).map((i) => event(users[i % 50] ?? '', i, `e${i}`))
      const counts = [consume(), consume()]
      let at = 0
      // in small parts, until both read: one alone could be faster than the other joins
      for (; at < 3_000 && counts.some(({ appended }) => appended === 0); at += 100) {
        await producer.send(stream, sent.slice(at, at + 100))
        const distinct = (at + 100) * 0.8
        await vi.waitFor(async () => expect(await rows()).toBe(distinct), 60_000)
      }
      await producer.send(stream, sent.slice(at, 4_000))
      await vi.waitFor(async () => expect(await rows()).toBeGreaterThan(at), 60_000)
      await producer.server.stop()
      await producer.server.start()
      await vi.waitFor(() => producer.send(stream, sent.slice(4_000)), 60_000)
      await drained()
      expect(await rows()).toBe(8_000)
      const online = await world.online(users)
      expect(online.reduce((sum, [clicks]) => sum + Number(clicks), 0)).toBe(8_000)
      expect(await world.sameAsRebuilt(users)).toBe(true)
      for (const each of counts) expect(each.appended).toBeGreaterThan(0)
      expect((counts[0]?.appended ?? 0) + (counts[1]?.appended ?? 0)).toBe(8_000)
    })

    it('count once, by stream position, if their reader dies before acknowledging', async () => {
      await producer.send(stream, [event('a', 1), event('a', 2), event('b', 3)])
      const script = programFile('test/materializer/streams/consume-process')
      const child = fork(script, [world.databaseUrl, producer.server.url])
      // it has the output of this process, which would not end before it
      stops.push(async () => void child.kill('SIGKILL'))
      const [said] = (await once(child, 'message')) as [unknown]
      expect(said).toBe('committed')
      child.kill('SIGKILL')
      await once(child, 'exit')
      expect(await rows()).toBeGreaterThan(0)
      const counts = consume()
      await drained()
      expect(await rows()).toBe(3)
      expect(counts.duplicate).toBeGreaterThan(0)
      await vi.waitFor(async () => expect(await world.online(['a', 'b'])).toEqual([[2, 3], [1, 3]]), 60_000) // prettier-ignore
    })

    general('are folded together, for any number of transactions', async () => {
      const folds: (readonly number[])[] = []
      const deps = { db: world.db, source: clicks, spec: producer.spec(stream), log: quietLog, clock: () => Date.now() * 1000 }
      /** Reads so many messages at a time, however slowly they come. */
      const read = (together: number): void => {
        const stopped = new AbortController()
        const opened = openConsumer(at(), deps.spec, { redeliverMs: 1_000 })
        const take = async (limit: number): Promise<readonly StreamMessage[]> => {
          const taken = [...(await opened.take(limit))]
          while (taken.length > 0 && taken.length < together) taken.push(...(await opened.take(limit)))
          return taken
        }
        const consumer = { ...opened, take }
        const fold = async (xids: readonly number[]): Promise<void> => void folds.push(xids)
        const done = consumeStream(
          { ...deps, consumer, fold, metrics: countingMetrics().metrics },
          { signal: stopped.signal, futureMicros: 600_000_000, messageLimitBytes: 1024 },
        )
        stops.push(async () => {
          stopped.abort()
          await done
          await consumer.close()
        })
      }
      read(1)
      for (const [i, id] of ['x', 'y'].entries()) {
        await producer.send(stream, [event('a', 1, id)])
        await vi.waitFor(() => expect(folds).toHaveLength(i + 1), 60_000)
      }
      await drained()
      for (const stop of stops.splice(0)) await stop()
      await producer.send(stream, [event('a', 1, 'x'), event('a', 1, 'y'), event('a', 1, 'z')])
      read(3)
      await drained()
      expect(folds.map((xids) => xids.length)).toEqual([1, 1, 3])
    })

    it('are dead letters if they are invalid, each counted once, and block no other', async () => {
      const wrong = ['{', '[]', '{"user":"a"}', event('a', '1'), event('a', 1).replace('}', ',"more":1}'), `"${'x'.repeat(2_000)}"`]
      await producer.send(stream, [...wrong, event('a', 5), JSON.stringify({ user: 'a', at: '2200-01-01T00:00:00Z', amount: 1 })])
      const counts = consume()
      await drained()
      expect(await world.online(['a'])).toEqual([[1, 5]])
      await vi.waitFor(() => expect(counts).toMatchObject({ appended: 1, dead: 7 }), 60_000)
      expect(await countDeadLetters(world.db)).toMatchObject([{ source: 'clicks', count: 7 }])
      const kept = await world.db.query<{ reason: string; body: Buffer }>(
        'select reason, body from lockstep.stream_dead_letters order by id',
      )
      // in order, except where the stream has partitions
      expect(kept.map(({ reason }) => reason).toSorted()).toEqual([
        'future',
        'missing_column',
        'not_an_object',
        'not_json',
        'not_json',
        'unknown_column',
        'wrong_type',
      ])
      expect(kept.map(({ body }) => body.toString())).toContain('{')
    })

    general('wait while the clock of their reader is behind, and are no dead letters', async () => {
      const realNow = Date.now.bind(Date)
      const now = realNow()
      const behind = vi.spyOn(Date, 'now').mockImplementation(() => realNow() - 3_600_000)
      stops.push(() => Promise.resolve(behind.mockRestore()))
      const counts = consume()
      await producer.send(stream, [JSON.stringify({ user: 'a', at: new Date(now).toISOString(), amount: 1 }), event('b', 2)])
      await vi.waitFor(() => expect(counts.failures).toBeGreaterThan(0), 60_000)
      expect([await rows(), counts.dead]).toEqual([0, 0])
      behind.mockRestore()
      await drained()
      expect([await rows(), counts.dead]).toEqual([2, 0])
    })

    general('are skipped one by one if only the table refuses them', async () => {
      await world.db.query('alter table lockstep_source.clicks add check (amount < 100)')
      await producer.send(
        stream,
        [1, 2, 300, 4, 500, 6].map((amount) => event('a', amount)),
      )
      const counts = consume()
      await drained()
      await vi.waitFor(() => expect(counts).toMatchObject({ appended: 4, dead: 2 }), 60_000)
      expect(await world.online(['a'])).toEqual([[4, 13]])
    })

    general('are reported as one dead letter if the stream deletes them unread, which no retry takes', async () => {
      const before = openConsumer(at(), producer.spec(stream), { redeliverMs: 60_000 })
      await producer.send(stream, [event('a', 1), event('a', 2)])
      await vi.waitFor(
        async () => before.acknowledge(await before.take(1)).then(async () => expect((await before.lag()).waiting).toBe(0)),
        60_000,
      )
      await before.close()
      await producer.send(
        stream,
        Array.from({ length: 10 }, () => event('b', 1)),
      )
      await producer.trim?.(stream, 4)
      const all = [consume(), consume()]
      await drained()
      await vi.waitFor(async () => expect(await rows()).toBe(4), 60_000)
      await vi.waitFor(() => expect(all.reduce((sum, { dead }) => sum + dead, 0)).toBe(1), 60_000)
      const letters = await readDeadLetters(world.db, { source: 'clicks' })
      expect(letters.map(({ reason, error }) => [reason, error])).toEqual([
        ['deleted_unread', expect.stringContaining('The stream deleted 6 messages before they were read.')],
      ])
      const streams = new Map([['clicks', producer.spec(stream)]])
      const tools = { db: world.db, source: () => clicks, streams, config: at(), futureMicros: 0, clock: () => Date.now() * 1000 }
      const { failed } = await retryDeadLetters({ ...tools, fold: async () => undefined }, letters)
      expect(failed.map(({ error }) => error.message)).toEqual(letters.map(({ error }) => error))
    })

    general('that were deleted unread are reported no second time if their dead letter is dropped', async () => {
      const lag = async () => ({ waiting: 0, pending: 0, deleted: [{ count: 2, place: 'after 7' }] })
      const reported: number[] = []
      const deps = { db: world.db, source: 'clicks', spec: producer.spec(stream), onLag: () => undefined }
      const watch = watchStream({ ...deps, consumer: { lag }, onDeleted: (letters) => reported.push(letters.length) })
      const { signal } = new AbortController()
      await watch.first(signal)
      const kept = await readDeadLetters(world.db, { source: 'clicks' })
      await dropDeadLetters(
        world.db,
        kept.map(({ id }) => id),
      )
      await watch.first(signal)
      watch.close()
      expect([reported, await readDeadLetters(world.db, { source: 'clicks' })]).toEqual([[1], []])
    })

    general('let a process stop at once whose first look at their server gets no answer', async () => {
      const silent = { lag: () => new Promise<never>(() => undefined) }
      const deps = { db: world.db, source: 'clicks', spec: producer.spec(stream), onLag: () => undefined, onDeleted: () => undefined }
      const watch = watchStream({ ...deps, consumer: silent })
      const stopped = new AbortController()
      const first = watch.first(stopped.signal)
      stopped.abort()
      expect(await orTimeout(first, 60_000)).not.toBe(timedOut)
      watch.close()
    })

    it('wait, unread, while they cannot be written, and are not lost', async () => {
      await world.db.query('alter table lockstep_source.clicks rename to away')
      const counts = consume()
      await producer.send(
        stream,
        Array.from({ length: 1_500 }, (_, i) => event('a', i)),
      )
      await vi.waitFor(() => expect(counts.failures).toBeGreaterThan(1), 60_000)
      const { waiting = 0, pending = 0 } = (await lag()) ?? {}
      expect(waiting + pending).toBe(1_500)
      expect(pending).toBeLessThanOrEqual(500)
      await world.db.query('alter table lockstep_source.away rename to clicks')
      await drained()
      expect(await rows()).toBe(1_500)
      expect(await world.online(['a'])).toEqual([[1_500, (1_499 * 1_500) / 2]])
    })

    // docs/streams.md has these steps
    general('get a new column by another stream, without dead letters', async () => {
      consume()
      const wide = (user: string, place: string) => JSON.stringify({ ...JSON.parse(event(user, 1)), place })
      const next = `${stream}_2`
      await producer.make(next)
      await producer.send(stream, [event('a', 1), event('a', 2)])
      // producers change one by one
      await producer.send(next, [wide('a', 'Bern')])
      await producer.send(stream, [event('a', 3)])
      await drained()
      expect(await rows()).toBe(3)
      await world.apply(producer.spec(next), { ...clicks, columns: [...clicks.columns, { name: 'place', type: { kind: 'string' } }] })
      await producer.send(next, [wide('a', 'Basel')])
      await vi.waitFor(async () => expect(await rows()).toBe(5), 60_000)
      expect(await world.db.query('select place from lockstep_source.clicks order by _row')).toEqual(
        [null, null, null, 'Bern', 'Basel'].map((place) => ({ place })),
      )
      expect(await countDeadLetters(world.db)).toEqual([])
      // rows are folded after they are committed
      await vi.waitFor(async () => expect(await world.online(['a'])).toEqual([[5, 8]]), 60_000)
    })

    general('are read from another stream once the registry changes', async () => {
      consume()
      await producer.send(stream, [event('a', 1)])
      await drained()
      const other = `${stream}other`
      await producer.make(other)
      await world.apply(producer.spec(other))
      await producer.send(other, [event('a', 2)])
      await vi.waitFor(async () => expect(await world.online(['a'])).toEqual([[2, 3]]), 60_000)
      await producer.send(stream, [event('a', 4)])
      await new Promise((resolve) => setTimeout(resolve, 500))
      expect(await rows()).toBe(2)
    })

    more?.({
      producer: () => producer,
      world: () => world,
      stream: () => stream,
      consume,
      rows,
      drained: async () => void (await drained()),
    })
  })
}
