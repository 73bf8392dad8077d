import { LockstepError } from '../../kernel/errors.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Actor } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { StreamServers } from '../../runtime/streams/open-consumer.ts'
import { avroDecoder } from '../../runtime/streams/open-consumer.ts'
import type { AvroDecoder } from '../../runtime/streams/avro-consumer.ts'
import { appendEvents } from '../events/append-events.ts'
import { createEventReader } from '../events/event-reader.ts'
import { readEventTable } from '../events/event-table.ts'
import { foldTransactions } from '../events/fold-transactions.ts'
import { foldedViews, witnessFolds } from '../witness-folds.ts'
import type { NotKeptListener } from '../state-writer.ts'
import type { KeptLetter } from './dead-letters.ts'
import { deletedUnread } from '../../runtime/streams/stream-consumer.ts'
import { dropDeadLetters, letterJson, noteFailure, readDeadLetters, reasonOf } from './dead-letters.ts'
import { messageEvent } from './message-event.ts'
import { takenColumns } from './message-writer.ts'

export interface RetryDeadLettersDeps {
  readonly db: Database
  /** @throws LockstepError `UNKNOWN_DEFINITION` */
  readonly source: (name: string) => SourceSpec
  /** By source. */
  readonly streams: ReadonlyMap<string, StreamSpec>
  /** Where the schema registry is. */
  readonly config: StreamServers
  /** Folds what some transactions wrote to the source into the online states. */
  readonly fold: (source: SourceSpec, xids: readonly number[]) => Promise<void>
  /** How far ahead of now an event may say it happened, microseconds. */
  readonly futureMicros: number
  /** Epoch microseconds. */
  readonly clock: () => number
  /** Who asks for it. */
  readonly by?: Actor
}

export interface RetriedLetters {
  /** Their events are in the tables now, those that were there before too; they are no dead letters any more. */
  readonly taken: readonly KeptLetter[]
  /** Those that are still at fault, and why. They stay. */
  readonly failed: readonly { readonly letter: KeptLetter; readonly error: LockstepError }[]
}

/**
 * Takes messages that were dead letters as if they came now, each under the id that it had, so that one that was sent
 * again meanwhile, or is tried again after this process has died during it, counts once.
 *
 * @throws LockstepError `POSTGRES_UNAVAILABLE`, and as `fold`
 */
export async function retryDeadLetters(deps: RetryDeadLettersDeps, letters: readonly KeptLetter[]): Promise<RetriedLetters> {
  const taken: KeptLetter[] = []
  const failed: { letter: KeptLetter; error: LockstepError }[] = []
  // oldest first, as they came
  const inOrder = letters.toSorted((a, b) => a.id - b.id)
  for (const [name, ofSource] of Map.groupBy(inOrder, ({ source }) => source)) {
    const xids = new Set<number>()
    // it keeps the schemas that it has read
    let decoder: AvroDecoder | null = null
    const decoderOf = (spec: StreamSpec): AvroDecoder => (decoder ??= avroDecoder(deps.config, spec))
    for (const letter of ofSource) {
      try {
        for (const xid of await append(deps, name, letter, decoderOf)) xids.add(xid)
        taken.push(letter)
      } catch (error) {
        if (!(error instanceof LockstepError) || error.code === 'POSTGRES_UNAVAILABLE') throw error
        await noteFailure(deps.db, letter.id, error)
        failed.push({ letter, error })
      }
    }
    if (xids.size > 0) await deps.fold(deps.source(name), [...xids])
  }
  return { taken, failed }
}

export interface RetryTools extends Pick<RetryDeadLettersDeps, 'db' | 'config' | 'futureMicros'> {
  readonly by: Actor
  readonly store: () => Promise<OnlineStore>
  readonly catalog: Pick<Catalog, 'pushSource' | 'streams' | 'onlineReaders'>
  readonly signal?: AbortSignal
  readonly onTooLarge: NotKeptListener
  /** The rows are committed, and the next run of each view folds them. */
  readonly onFoldFailure: (source: string, error: LockstepError) => void
}

/** How many dead letters are held in memory. */
const retriedTogether = 100

/**
 * Retries dead letters, and folds their rows into the online views.
 *
 * @param ids oldest first
 * @returns what `--json` and HTTP show
 */
export async function retryAndFold(tools: RetryTools, ids: readonly number[]) {
  const { db, store, catalog, config, futureMicros, by, signal, onTooLarge, onFoldFailure } = tools
  const late = new Set<string>()
  const done: RetriedLetters[] = []

  async function fold(source: SourceSpec, xids: readonly number[]): Promise<void> {
    const readers = catalog.onlineReaders(source)
    try {
      const open = await store()
      const { left } = await foldTransactions(db, open, readers, xids, { onTooLarge, signal })
      await witnessFolds(db, open, foldedViews(readers, left))
      for (const view of left) late.add(view)
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code === 'STOPPED') throw error
      onFoldFailure(source.name, error)
      for (const { id } of readers) late.add(id)
    }
  }

  const { pushSource: source, streams } = catalog
  for (let at = 0; at < ids.length; at += retriedTogether) {
    const letters = await readDeadLetters(db, { ids: ids.slice(at, at + retriedTogether) })
    done.push(await retryDeadLetters({ db, source, streams, config, fold, futureMicros, clock: () => Date.now() * 1000, by }, letters))
  }
  return {
    /** The ids of those that are no dead letters any more. */
    taken: done.flatMap(({ taken }) => taken.map(({ id }) => id)),
    failed: done.flatMap(({ failed }) =>
      failed.map(({ letter: { body, ...letter }, error }) => ({
        ...letterJson({ ...letter, cutOff: body !== null && body.length !== letter.sizeBytes }),
        reason: reasonOf(error),
        error: error.message,
      })),
    ),
    /** Views whose next run folds the rows instead. */
    left: [...late],
  }
}

/** @returns the transactions that wrote its event */
async function append(
  { db, source, streams, futureMicros, clock, by }: RetryDeadLettersDeps,
  name: string,
  letter: KeptLetter,
  decoderOf: (spec: StreamSpec) => AvroDecoder,
): Promise<readonly number[]> {
  const { id, body, sizeBytes, stream, message, reason } = letter
  if (body !== null && body.length !== sizeBytes) {
    throw new LockstepError(
      'INVALID_EVENT',
      `Only the first ${body.length} of ${sizeBytes} bytes of the message "${message}" were kept; send it to its stream again.`,
      { details: { reason: 'cut_off' } },
    )
  }
  if (name.startsWith('pipeline '))
    throw new LockstepError(
      'INVALID_EVENT',
      `The message "${message}" is a dead letter of the ${name}, and those of pipelines cannot be retried. Correct the cause, and run "lockstep ${name.replace(' ', ' replay ')} --from TIME" with the time at which the message arrived.`,
      { details: { reason: 'of_pipeline' } },
    )
  if (reason === deletedUnread) throw new LockstepError('INVALID_EVENT', letter.error, { details: { reason } })
  const table = await readEventTable(db, source(name))
  const spec = streams.get(name)
  const columns = takenColumns(spec, table)
  // what could be decoded is kept as JSON; other JSON is no message of a stream in Avro
  const isJson = columns === null || (body?.[0] !== 0 && reason !== 'not_avro')
  const json = spec === undefined || body === null || isJson ? body : await decoderOf(spec)(body)
  const event = createEventReader(table, { futureMicros })(messageEvent(json, `${stream}:${message}`, { columns }), 0, clock())
  const { xid, duplicates } = await appendEvents(db, table, [event], { to: 'both' })
  await dropDeadLetters(db, [id], by, 'dead-letter.retry')
  return [xid, ...duplicates].filter((each) => each !== null)
}
