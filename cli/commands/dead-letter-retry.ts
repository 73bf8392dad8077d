import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/view-spec.ts'
import { foldTransactions } from '../../materializer/fold-transaction.ts'
import { retryDeadLetters } from '../../materializer/streams/retry-dead-letters.ts'
import { logOversized } from '../../materializer/log-oversized.ts'
import { actorOf } from '../actor.ts'
import type { Command } from '../command.ts'
import { chosenLetters, letterArguments, letterJson, letterOptions } from '../dead-letters.ts'
import { counted } from '../human.ts'

export const deadLetterRetryCommand: Command = {
  name: 'dead-letter retry',
  summary: 'Process dead letters again, as if they arrived now',
  description: [
    'A message that becomes a row is no longer a dead letter, and is at once in the online views. It counts once, even if it was sent again meanwhile. Messages that still fail stay, with the new error, and the command exits with 1.',
  ],
  arguments: letterArguments,
  options: letterOptions,
  example: 'lockstep dead-letter retry --source landings',
  async run(context, input) {
    const db = await context.database()
    const letters = await chosenLetters(db, input)
    const catalog = await context.catalog()
    const late = new Set<string>()
    const onTooLarge = logOversized(context.log, () => undefined)

    async function fold(source: SourceSpec, xids: readonly number[]): Promise<void> {
      const readers = catalog.onlineReaders(source)
      try {
        const { left } = await foldTransactions(db, await context.store(), readers, xids, { signal: context.signal, onTooLarge })
        for (const view of left) late.add(view)
      } catch (error) {
        if (!(error instanceof LockstepError) || error.code === 'STOPPED') throw error
        context.log.warn({ source: source.name, error: messageOf(error) }, 'rows are not online yet: the next run of each view folds them')
        for (const { id } of readers) late.add(id)
      }
    }

    const { config } = context
    const { taken, failed } = await retryDeadLetters(
      {
        db,
        source: (name) => catalog.pushSource(name),
        streams: catalog.streams,
        config,
        fold,
        futureMicros: config.futureMicros,
        clock: () => Date.now() * 1000,
        by: actorOf(input),
      },
      letters,
    )
    return {
      json: {
        taken: taken.map(({ id }) => id),
        failed: failed.map(({ letter, error }) => ({
          ...letterJson(letter),
          reason: error.details['reason'] ?? error.code,
          error: error.message,
        })),
        left: [...late],
      },
      text: [
        `Processed ${counted(taken.length, 'dead letter')}${failed.length === 0 ? '.' : `; ${counted(failed.length, 'other')} still ${failed.length === 1 ? 'fails' : 'fail'}:`}`,
        ...failed.map(({ letter, error }) => `${letter.id}: ${error.message}`),
        ...[...late].map((view) => `The next run of ${view} folds the rows.`),
      ].join('\n'),
      exitCode: failed.length === 0 ? 0 : 1,
    }
  },
}
