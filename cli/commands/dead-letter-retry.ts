import { messageOf } from '../../kernel/errors.ts'
import { chosenLetterIds } from '../../materializer/streams/dead-letters.ts'
import { retryAndFold } from '../../materializer/streams/retry-dead-letters.ts'
import { logOversized } from '../../materializer/runs/log-oversized.ts'
import { retriedLettersAnswer } from '../../serving/protocols/http/streaming/dead-letters-route.ts'
import { actorOf } from '../actor.ts'
import type { Command } from '../command.ts'
import { chosenBody, chosenLetters, letterArguments, letterOptions } from '../dead-letters.ts'
import { counted } from '../text/human.ts'
import { serverOf } from '../remote/server-option.ts'

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
    const { config, log, signal } = context
    const [chosen, by, server] = [chosenLetters(input), actorOf(input), serverOf(context, input)]
    const retry = async () => {
      if (server !== null) {
        return await server.ask('POST', '/v1/dead-letters/retry', chosenBody(chosen, by.reason), retriedLettersAnswer)
      }
      const db = await context.database()
      const tools = {
        db,
        store: () => context.store(),
        catalog: await context.catalog(),
        config,
        futureMicros: config.futureMicros,
        by,
        signal,
        onTooLarge: logOversized(log, () => undefined),
        onFoldFailure: (source: string, error: unknown) =>
          log.warn({ source, error: messageOf(error) }, 'rows are not online yet: the next run of each view folds them'),
      }
      return await retryAndFold(tools, await chosenLetterIds(db, chosen, () => tools.catalog))
    }
    const { taken, failed, left } = await retry()
    return {
      json: { taken, failed, left },
      text: [
        `Processed ${counted(taken.length, 'dead letter')}${failed.length === 0 ? '.' : `; ${counted(failed.length, 'other')} still ${failed.length === 1 ? 'fails' : 'fail'}:`}`,
        ...failed.map(({ id, error }) => `${id}: ${error}`),
        ...left.map((view) => `The next run of ${view} folds the rows.`),
      ].join('\n'),
      exitCode: failed.length === 0 ? 0 : 1,
    }
  },
}
