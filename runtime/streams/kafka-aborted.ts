import type { CallbackWithPromise, FetchOptions } from '@platformatic/kafka'
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
  override fetch(options: FetchOptions<Buffer, Buffer, Buffer, Buffer>, callback: CallbackWithPromise<FetchResponse>): void
  override fetch(options: FetchOptions<Buffer, Buffer, Buffer, Buffer>): Promise<FetchResponse>
  override fetch(
    options: FetchOptions<Buffer, Buffer, Buffer, Buffer>,
    callback?: CallbackWithPromise<FetchResponse>,
  ): Promise<FetchResponse> | void {
    if (callback === undefined) return super.fetch(options).then((response) => (dropAborted(response), response))
    super.fetch(options, (error, response) => {
      if (response !== undefined) dropAborted(response)
      callback(error, response)
    })
  }
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
