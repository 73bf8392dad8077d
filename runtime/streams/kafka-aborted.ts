import type { CallbackWithPromise, FetchOptions, Message } from '@platformatic/kafka'
import { Consumer } from '@platformatic/kafka'

type FetchResponse = Awaited<ReturnType<Consumer['fetch']>>
type FetchedPartition = FetchResponse['responses'][number]['partitions'][number]

/** The bits of a batch's attributes. */
const [isTransactional, isControl] = [0b1_0000, 0b10_0000]

/**
 * A consumer that gives no messages of aborted transactions. The client gives some: those of all but the last of
 * several transactions of one producer in one answer, and those whose end is in a later answer.
 */
export class CommittedConsumer extends Consumer {
  /** By partition. */
  readonly #gaps = new Map<number, Gaps>()

  /** The offset to commit after a message: also after the end of its transaction, and after aborted messages. */
  offsetAfter({ partition, offset }: Pick<Message, 'partition' | 'offset'>): bigint {
    const ends = this.#gaps.get(partition)?.ends ?? new Map<bigint, bigint>()
    for (const start of ends.keys()) if (start <= offset) ends.delete(start)
    let after = offset + 1n
    for (let end = ends.get(after); end !== undefined; end = ends.get(after)) after = end
    return after
  }

  override fetch(options: FetchOptions<Buffer, Buffer, Buffer, Buffer>, callback: CallbackWithPromise<FetchResponse>): void
  override fetch(options: FetchOptions<Buffer, Buffer, Buffer, Buffer>): Promise<FetchResponse>
  override fetch(
    options: FetchOptions<Buffer, Buffer, Buffer, Buffer>,
    callback?: CallbackWithPromise<FetchResponse>,
  ): Promise<FetchResponse> | void {
    if (callback === undefined) return super.fetch(options).then((response) => (this.#take(response), response))
    super.fetch(options, (error, response) => {
      if (response !== undefined) this.#take(response)
      callback(error, response)
    })
  }

  #take(response: FetchResponse): void {
    dropAborted(response)
    for (const { partitionIndex, records } of response.responses.flatMap(({ partitions }) => partitions)) {
      for (const batch of records ?? []) {
        if ((batch.attributes & isControl) === 0 && batch.records.length > 0) continue
        const gaps = this.#gaps.get(partitionIndex) ?? { ends: new Map<bigint, bigint>(), newest: 0n }
        this.#gaps.set(partitionIndex, gaps)
        addGap(gaps, batch.firstOffset, batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n)
      }
    }
  }
}

/** Offsets of a partition without a message. */
interface Gaps {
  /** By the first offset of a run: the offset after the run. */
  readonly ends: Map<bigint, bigint>
  /** The first offset of the run that was added last. */
  newest: bigint
}

/** A run that continues the newest one is joined to it: a partition may have only aborted transactions for days. */
export function addGap(gaps: Gaps, first: bigint, after: bigint): void {
  if (gaps.ends.get(gaps.newest) !== first) gaps.newest = first
  gaps.ends.set(gaps.newest, after)
}

/** Empties the batches of aborted transactions in an answer of a broker, by the rule of the clients of Java. */
export function dropAborted({ responses }: Pick<FetchResponse, 'responses'>): void {
  for (const { partitions } of responses) for (const partition of partitions) dropAbortedOf(partition)
}

/** A transaction is aborted from its first offset until the control batch of its producer. */
function dropAbortedOf(partition: FetchedPartition): void {
  const { records, abortedTransactions } = partition
  if (!records || !abortedTransactions || abortedTransactions.length === 0) return
  const upcoming = abortedTransactions.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  const aborted = new Set<bigint>()
  partition.records = records.map((batch) => {
    const { attributes, producerId, firstOffset, lastOffsetDelta } = batch
    for (let next = upcoming[0]; next !== undefined && next.firstOffset <= firstOffset + BigInt(lastOffsetDelta); next = upcoming[0]) {
      aborted.add(next.producerId)
      upcoming.shift()
    }
    if ((attributes & isControl) !== 0) aborted.delete(producerId)
    // an empty batch stays: the client reads on after it
    else if ((attributes & isTransactional) !== 0 && aborted.has(producerId)) return { ...batch, records: [] }
    return batch
  })
}
