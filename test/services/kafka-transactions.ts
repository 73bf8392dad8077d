import { Reader, Writer, crc32c } from '@platformatic/kafka'
import type { Socket } from 'node:net'
import type { Connection } from './kafka-frames.ts'
import { createConnection, frames, withLength } from './kafka-frames.ts'

/** The requests that the coordinator answers. */
const keys = { Produce: 0, OffsetFetch: 9, InitProducerId: 22, AddPartitionsToTxn: 24, AddOffsetsToTxn: 25, EndTxn: 26, TxnOffsetCommit: 28 } as const // prettier-ignore
export type TransactionRequest = keyof typeof keys
const names = new Map(Object.entries(keys).map(([name, key]) => [key as number, name as TransactionRequest]))

/** Clients are offered no later versions than those that are understood here. */
const maxVersions: Readonly<Record<number, number>> = { 0: 7, 9: 7, 22: 4, 24: 3, 25: 3, 26: 3, 28: 3 }
const [apiVersions, heartbeat] = [18, 12]
const rebalancing = 27
const errors = {
  none: 0,
  tooLarge: 10,
  illegalGeneration: 22,
  invalidTxnState: 48,
  unknownProducer: 49,
  concurrent: 51,
  unstable: 88,
  fenced: 90,
} as const
const maxMessageBytes = 1_048_588

export interface KafkaBroker {
  readonly host: string
  readonly port: number
  readonly hasTransactions: boolean
}

export interface TransactionCoordinator {
  /** Answers a client, with what it has sent so far. */
  serve(client: Socket, sent: Buffer): void
  /**
   * Called before a request is carried out, and before its answer is sent. The client is cut off where the promise is
   * "cut".
   */
  intercept: ((request: TransactionRequest, when: 'before' | 'after') => Promise<'cut' | null>) | null
  /** Whether a request gets no answer, as from a broker that is stuck; null: each gets one. */
  ignores: ((frame: Buffer) => boolean) | null
  /** Waits until what was committed so far can be read. */
  settled(): Promise<void>
  close(): void
}

interface Transactional {
  readonly producerId: bigint
  epoch: number
  timeoutMs: number
  state: 'empty' | 'ongoing' | 'committing' | 'committed' | 'aborted'
  /** `topic:partition`. */
  readonly partitions: Set<string>
  readonly groups: Set<string>
  readonly batches: { readonly topic: string; readonly partition: number; readonly records: Buffer }[]
  readonly offsets: { readonly group: string; readonly topic: string; readonly partition: number; readonly offset: bigint }[]
  timer: NodeJS.Timeout | null
}

interface Request {
  readonly key: number
  readonly version: number
  readonly correlation: number
  readonly frame: Buffer
  readonly body: Reader
}

/**
 * The part of a broker that the one of the tests lacks: transactions. Before a broker that has them, it only
 * intercepts. Messages of a transaction are held until it is committed, so what a reader gets is what readers of
 * committed messages get from a broker of Kafka. It follows the rules of Kafka's coordinator: epochs fence producers,
 * generations fence members (KIP-447), a transaction that is open for too long is aborted, a commit is answered before
 * its messages appear, and offsets are unstable until they do.
 */
export function createTransactionCoordinator(broker: KafkaBroker): TransactionCoordinator {
  const ids = new Map<string, Transactional>()
  /** By group, topic and partition. */
  const committed = new Map<string, bigint>()
  let nextProducerId = 1_000_000n
  let opened: Connection | null = null
  const own = (): Connection => (opened ??= createConnection(broker))
  const sockets = new Set<Socket>()
  let settled: Promise<void> = Promise.resolve()
  const coordinator: TransactionCoordinator = {
    intercept: null,
    ignores: null,
    settled: () => settled,
    serve(client, sent) {
      const upstream = createConnection(broker)
      sockets.add(client)
      client.on('close', () => {
        sockets.delete(client)
        upstream.close()
      })
      upstream.socket.on('close', () => client.destroy())
      let answered: Promise<void> = Promise.resolve()
      const writeAfter = async (before: Promise<void>, answering: Promise<Buffer | null>): Promise<void> => {
        await before
        const reply = await answering.catch(() => null)
        if (reply === null) client.destroy()
        else if (!client.destroyed) client.write(reply)
      }
      const onFrame = (frame: Buffer): void => {
        if (coordinator.ignores?.(frame) === true) return
        const answering = broker.hasTransactions ? handOn(frame, upstream) : answer(parse(frame), upstream)
        answering.catch(() => undefined)
        answered = writeAfter(answered, answering)
      }
      const feed = frames(onFrame)
      client.on('data', feed)
      feed(sent)
      client.resume()
    },
    close() {
      for (const { timer } of ids.values()) if (timer !== null) clearTimeout(timer)
      for (const socket of sockets) socket.destroy()
      opened?.close()
    },
  }

  async function handOn(frame: Buffer, upstream: Connection): Promise<Buffer | null> {
    const name = names.get(frame.readInt16BE(4))
    const held = name === undefined ? null : coordinator.intercept
    if (name !== undefined && (await held?.(name, 'before')) === 'cut') return null
    const reply = await upstream.send(frame)
    return name !== undefined && (await held?.(name, 'after')) === 'cut' ? null : reply
  }

  /** @returns the whole answer; null: the client is cut off */
  async function answer(request: Request, upstream: Connection): Promise<Buffer | null> {
    const name = names.get(request.key)
    const handler = name === undefined ? null : handlerOf(name, request)
    if (name === undefined || handler === null) {
      const reply = await upstream.send(request.frame)
      return request.key === apiVersions ? capped(reply, request.version) : reply
    }
    const held = coordinator.intercept
    if ((await held?.(name, 'before')) === 'cut') return null
    const body = await handler()
    if ((await held?.(name, 'after')) === 'cut') return null
    // requests of these versions have answers with tags, except those of Produce
    const head = Writer.create().appendInt32(request.correlation)
    if (name !== 'Produce') head.appendTaggedFields()
    return withLength(head.appendFrom(body))
  }

  /** @returns null: the request is not of a transaction */
  function handlerOf(name: TransactionRequest, { body }: Request): (() => Promise<Writer> | Writer) | null {
    switch (name) {
      case 'InitProducerId': {
        const id = body.readNullableString()
        const [timeoutMs, producerId] = [body.readInt32(), body.readInt64()]
        return id === null ? null : () => init(id, timeoutMs, producerId)
      }
      case 'AddPartitionsToTxn':
        return () => {
          const of = producerOf(body)
          const topics = body.readArray((r) => ({ topic: r.readString(), partitions: r.readArray((p) => p.readInt32(), true, false) }))
          const error = of.error() || begin(of.found)
          if (error === errors.none)
            for (const { topic, partitions } of topics) for (const each of partitions) of.found?.partitions.add(`${topic}:${each}`)
          return Writer.create()
            .appendInt32(0)
            .appendArray(topics, (w, { topic, partitions }) => {
              w.appendString(topic).appendArray(partitions, (p, partition) => p.appendInt32(partition).appendInt16(error))
            })
            .appendTaggedFields()
        }
      case 'AddOffsetsToTxn':
        return () => {
          const of = producerOf(body)
          const group = body.readString()
          const error = of.error() || begin(of.found)
          if (error === errors.none) of.found?.groups.add(group)
          return Writer.create().appendInt32(0).appendInt16(error).appendTaggedFields()
        }
      case 'TxnOffsetCommit':
        return () => commitOffsets(body)
      case 'EndTxn':
        return () => {
          const of = producerOf(body)
          const error = of.error() || end(of.found, body.readBoolean())
          return Writer.create().appendInt32(0).appendInt16(error).appendTaggedFields()
        }
      case 'Produce': {
        const id = body.readNullableString(false)
        return id === null ? null : () => produce(id, body)
      }
      case 'OffsetFetch': {
        const group = body.readString()
        const topics = body.readNullableArray((r) => ({
          topic: r.readString(),
          partitions: r.readArray((p) => p.readInt32(), true, false),
        }))
        const isStable = body.readBoolean()
        return () => fetchOffsets(group, topics, isStable)
      }
      default:
        return name satisfies never
    }
  }

  /** Offsets of transactions are kept here: the broker takes offsets of members only. */
  async function fetchOffsets(group: string, topics: TopicPartitions[] | null, isStable: boolean): Promise<Writer> {
    const isOpen = ({ state, offsets }: Transactional): boolean =>
      (state === 'ongoing' || state === 'committing') && offsets.some((each) => each.group === group)
    if (isStable && [...ids.values()].some(isOpen) && topics !== null)
      return offsetsOf(topics, () => ({ offset: -1n, error: errors.unstable }))
    const request = Writer.create().appendString(group)
    request.appendArray(topics, (w, { topic, partitions }) => {
      w.appendString(topic).appendArray(partitions, (p, partition) => p.appendInt32(partition), true, false)
    })
    request.appendBoolean(false).appendTaggedFields()
    const said = await own().call(keys.OffsetFetch, 7, (w) => w.appendTaggedFields().appendFrom(request))
    said.skip(5)
    const known = new Map<string, { offset: bigint; error: number }>()
    const found = said.readArray((r): TopicPartitions => {
      const topic = r.readString()
      const partitions = r.readArray((p) => {
        const [partition, offset] = [p.readInt32(), p.readInt64()]
        p.readInt32()
        p.readNullableString()
        known.set(placeOf(group, topic, partition), { offset, error: p.readInt16() })
        return partition
      })
      return { topic, partitions }
    })
    return offsetsOf(found, (topic, partition) => {
      const place = placeOf(group, topic, partition)
      const { offset, error } = known.get(place) ?? { offset: -1n, error: 0 }
      const own = committed.get(place) ?? -1n
      return { offset: own > offset ? own : offset, error }
    })
  }

  function init(id: string, timeoutMs: number, producerId: bigint): Writer {
    const reply = (error: number, given = -1n, epoch = -1): Writer =>
      Writer.create().appendInt32(0).appendInt16(error).appendInt64(given).appendInt16(epoch).appendTaggedFields()
    const before = ids.get(id)
    // KIP-360: a producer that knows a number must know the right one
    if (before !== undefined && producerId !== -1n && producerId !== before.producerId) return reply(errors.fenced)
    if (before?.state === 'committing') return reply(errors.concurrent)
    if (before?.state === 'ongoing') {
      before.epoch++
      abort(before)
      return reply(errors.concurrent)
    }
    if (before !== undefined) {
      Object.assign(before, { epoch: before.epoch + 1, state: 'empty', timeoutMs })
      return reply(errors.none, before.producerId, before.epoch)
    }
    const made: Transactional = {
      producerId: nextProducerId++,
      epoch: 0,
      timeoutMs,
      state: 'empty',
      partitions: new Set(),
      groups: new Set(),
      batches: [],
      offsets: [],
      timer: null,
    }
    ids.set(id, made)
    return reply(errors.none, made.producerId, made.epoch)
  }

  /** Reads the producer of a request. */
  function producerOf(body: Reader, id = body.readString()): { found: Transactional | undefined; error: () => number } {
    const [producerId, epoch] = [body.readInt64(), body.readInt16()]
    const found = ids.get(id)
    const error = (): number => {
      if (found === undefined || found.producerId !== producerId) return errors.unknownProducer
      return epoch === found.epoch ? errors.none : errors.fenced
    }
    return { found, error }
  }

  function begin(of: Transactional | undefined): number {
    if (of?.state === 'committing') return errors.concurrent
    if (of === undefined || of.state === 'ongoing') return errors.none
    of.state = 'ongoing'
    of.timer = setTimeout(() => {
      // fenced, so that the producer notices
      of.epoch++
      abort(of)
    }, of.timeoutMs)
    return errors.none
  }

  async function commitOffsets(body: Reader): Promise<Writer> {
    const id = body.readString()
    const group = body.readString()
    const of = producerOf(body, id)
    const [generation, member] = [body.readInt32(), body.readString()]
    body.readNullableString()
    const topics = body.readArray((r) => ({
      topic: r.readString(),
      partitions: r.readArray((p) => {
        const [partition, offset] = [p.readInt32(), p.readInt64()]
        p.readInt32()
        p.readNullableString()
        return { partition, offset }
      }),
    }))
    let error = of.error()
    if (error === errors.none && (of.found?.state !== 'ongoing' || !of.found.groups.has(group))) error = errors.invalidTxnState
    if (error === errors.none) {
      const said = await own().call(heartbeat, 0, (w) => w.appendString(group, false).appendInt32(generation).appendString(member, false))
      const code = said.readInt16()
      // the broker says the same of a generation that is over and of one that is about to be
      error = code === rebalancing ? errors.illegalGeneration : code
    }
    if (error === errors.none)
      for (const { topic, partitions } of topics) for (const each of partitions) of.found?.offsets.push({ group, topic, ...each })
    return Writer.create()
      .appendInt32(0)
      .appendArray(topics, (w, { topic, partitions }) => {
        w.appendString(topic).appendArray(partitions, (p, { partition }) => p.appendInt32(partition).appendInt16(error))
      })
      .appendTaggedFields()
  }

  function end(of: Transactional | undefined, isCommit: boolean): number {
    if (of === undefined) return errors.unknownProducer
    if (of.state === 'committing') return isCommit ? errors.concurrent : errors.invalidTxnState
    if (of.state !== 'ongoing') return of.state === (isCommit ? 'committed' : 'aborted') ? errors.none : errors.invalidTxnState
    if (isCommit) settled = Promise.all([settled, apply(of)]).then(() => undefined)
    else abort(of)
    return errors.none
  }

  function abort(of: Transactional): void {
    clear(of)
    of.state = 'aborted'
  }

  function clear(of: Transactional): void {
    if (of.timer !== null) clearTimeout(of.timer)
    of.timer = null
    of.partitions.clear()
    of.groups.clear()
    of.batches.length = 0
    of.offsets.length = 0
  }

  async function apply(of: Transactional): Promise<void> {
    of.state = 'committing'
    if (of.timer !== null) clearTimeout(of.timer)
    // as a broker of Kafka does, each partition gets a record that ends the transaction, which no reader is given
    const ends = [...of.partitions].map((place) => {
      const [topic, partition] = place.split(':') as [string, string]
      return { topic, partition: Number(partition), records: endOfTransaction() }
    })
    for (const { topic, partition, records } of [...of.batches, ...ends]) {
      const said = await own().call(keys.Produce, 7, (w) =>
        w
          .appendString(null, false)
          .appendInt16(-1)
          .appendInt32(10_000)
          .appendArray(
            [topic],
            (t) => {
              const write = (p: Writer): void => void p.appendInt32(partition).appendInt32(records.length).append(records)
              t.appendString(topic, false).appendArray([partition], write, false, false)
            },
            false,
            false,
          ),
      )
      const codes = said.readArray((r) => {
        r.readString(false)
        return r.readArray((p) => [p.readInt32(), p.readInt16(), p.readInt64(), p.readInt64(), p.readInt64()][1], false, false)
      }, false, false) // prettier-ignore
      if (codes.flat().some((code) => code !== 0)) throw new Error(`The broker refuses a batch: ${codes.join()}.`)
    }
    for (const { group, topic, partition, offset } of of.offsets) committed.set(placeOf(group, topic, partition), offset)
    clear(of)
    of.state = 'committed'
  }

  function produce(id: string, body: Reader): Writer {
    body.readInt16()
    body.readInt32()
    const of = ids.get(id)
    const answers = body.readArray((r) => {
      const topic = r.readString(false)
      const partitions = r.readArray((p) => {
        const partition = p.readInt32()
        const records = Buffer.from(p.buffer.slice(p.position + 4, p.position + 4 + p.peekInt32()))
        p.skip(4 + records.length)
        return { partition, error: hold(of, topic, partition, records) }
      }, false, false) // prettier-ignore
      return { topic, partitions }
    }, false, false) // prettier-ignore
    return Writer.create()
      .appendArray(
        answers,
        (w, { topic, partitions }) => {
          const write = (p: Writer, { partition, error }: { partition: number; error: number }): void =>
            void p.appendInt32(partition).appendInt16(error).appendInt64(-1n).appendInt64(-1n).appendInt64(-1n)
          w.appendString(topic, false).appendArray(partitions, write, false, false)
        },
        false,
        false,
      ) // prettier-ignore
      .appendInt32(0)
  }

  function hold(of: Transactional | undefined, topic: string, partition: number, records: Buffer): number {
    if (of === undefined || records.readBigInt64BE(43) !== of.producerId) return errors.unknownProducer
    if (records.readInt16BE(51) !== of.epoch) return errors.fenced
    if (of.state !== 'ongoing' || !of.partitions.has(`${topic}:${partition}`) || (records.readInt16BE(21) & 0x10) === 0)
      return errors.invalidTxnState
    if (records.length > maxMessageBytes) return errors.tooLarge
    of.batches.push({ topic, partition, records: plain(records) })
    return errors.none
  }

  return coordinator
}

interface TopicPartitions {
  readonly topic: string
  readonly partitions: number[]
}

const placeOf = (group: string, topic: string, partition: number): string => `${group}/${topic}/${partition}`

/** The answer to OffsetFetch. */
function offsetsOf(topics: TopicPartitions[], of: (topic: string, partition: number) => { offset: bigint; error: number }): Writer {
  return Writer.create()
    .appendInt32(0)
    .appendArray(topics, (w, { topic, partitions }) => {
      w.appendString(topic).appendArray(partitions, (p, partition) => {
        const { offset, error } = of(topic, partition)
        p.appendInt32(partition).appendInt64(offset).appendInt32(-1).appendString(null).appendInt16(error)
      })
    })
    .appendInt16(0)
    .appendTaggedFields()
}

/** A batch of a transaction as one of no producer that the broker would have to know, and of no transaction. */
function plain(records: Buffer, attributes = records.readInt16BE(21) & ~0x10): Buffer {
  const made = Buffer.from(records)
  made.writeInt16BE(attributes, 21)
  made.writeBigInt64BE(-1n, 43)
  made.writeInt16BE(-1, 51)
  made.writeInt32BE(-1, 53)
  made.writeUInt32BE(crc32c(made.subarray(21)), 17)
  return made
}

/** A control batch with the record of a commit. */
function endOfTransaction(): Buffer {
  const [key, value] = [Buffer.from('00000001', 'hex'), Buffer.from('000000000000', 'hex')]
  const field = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length * 2]), bytes])
  const record = field(Buffer.concat([Buffer.alloc(3), field(key), field(value), Buffer.alloc(1)]))
  const head = Buffer.alloc(61)
  head.writeInt32BE(head.length - 12 + record.length, 8)
  head.writeInt8(2, 16)
  head.writeInt16BE(0x30, 21)
  for (const at of [27, 35]) head.writeBigInt64BE(BigInt(Date.now()), at)
  head.writeInt32BE(1, 57)
  return plain(Buffer.concat([head, record]), 0x30)
}

/** Lowers the versions in an answer to ApiVersions. */
function capped(reply: Buffer, version: number): Buffer {
  const made = Buffer.from(reply)
  const entry = version >= 3 ? 7 : 6
  const start = version >= 3 ? 11 : 14
  const count = version >= 3 ? made.readUInt8(10) - 1 : made.readInt32BE(10)
  for (let i = 0; i < count; i++) {
    const at = start + i * entry
    const max = maxVersions[made.readInt16BE(at)]
    if (max !== undefined && made.readInt16BE(at + 4) > max) made.writeInt16BE(max, at + 4)
  }
  return made
}

function parse(frame: Buffer): Request {
  const body = Reader.from(frame)
  body.skip(4)
  const [key, version, correlation] = [body.readInt16(), body.readInt16(), body.readInt32()]
  body.readNullableString(false)
  if (names.has(key) && key !== keys.Produce) body.readTaggedFields()
  return { key, version, correlation, frame, body }
}
