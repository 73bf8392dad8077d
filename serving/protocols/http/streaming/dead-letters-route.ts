import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import type { LetterChoice } from '../../../../materializer/streams/dead-letters.ts'
import {
  chosenLetterIds,
  dropDeadLetters,
  letterJson,
  letterWithBody,
  listDeadLetters,
  noDeadLetter,
  readDeadLetter,
  requireLetterSource,
} from '../../../../materializer/streams/dead-letters.ts'
import { retryAndFold } from '../../../../materializer/streams/retry-dead-letters.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import { actorOf, idInPath, jsonAnswer } from '../call.ts'
import { reasonSchema } from '../request/change-schemas.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const maxListed = 1_000

const query = z.object({
  source: z.string().optional().describe('Only those of this source, or of a pipeline: "pipeline NAME"'),
  before: z.coerce.number().int().min(1).optional().describe('Only those older than the one with this id: `next` of the previous answer'),
  limit: z.coerce.number().int().min(1).max(maxListed).optional().describe('The maximum number. Default: 100'),
})

const choice = z
  .strictObject({
    ids: z.array(z.int().min(1)).min(1).max(maxListed).optional().describe('These'),
    source: z.string().optional().describe('All of this source'),
    all: z.literal(true).optional().describe('All of all sources'),
    reason: reasonSchema,
  })
  .meta({ oneOf: [{ required: ['ids'] }, { required: ['source'] }, { required: ['all'] }] })

const letterFields = {
  id: z.int().describe('Its id'),
  source: z.string().describe('The source that the message was for; "pipeline NAME" of a pipeline'),
  stream: z.string().describe('The stream that it came from, such as redis:landings'),
  message: z.string().describe('The id of the message in its stream'),
  reason: z.string().describe('Why it became no row, for programs'),
  error: z.string().describe('The same for people'),
  at: z.string().describe('When it was put aside'),
  sizeBytes: z.int().nullable().describe('The size of the message; null: the stream entry contained none'),
  cutOff: z.boolean().describe('Whether only its beginning was kept. It cannot be retried'),
}
export const deadLettersAnswer = z.object({
  deadLetters: z.array(z.object(letterFields)),
  next: z.int().nullable().describe('Send it as `before` to read the next page; null: there are no more'),
  requestId,
})
export const deadLetterAnswer = z.object({
  ...letterFields,
  body: z.string().nullable().describe('The message as text, or in base64; null: there was none'),
  keptBytes: z.int().nullable().describe('How many bytes of it were kept'),
  encoding: z.enum(['utf8', 'base64']).nullable().describe('How `body` is written'),
  requestId,
})
export const retriedLettersAnswer = z.object({
  taken: z.array(z.int()).describe('The ids of those that became rows, and are no dead letters any more'),
  failed: z.array(z.object(letterFields)).describe('Those that still fail, with the new error'),
  left: z.array(z.string()).describe('Views whose next run folds the rows'),
  requestId,
})
export const droppedLettersAnswer = z.object({
  dropped: z.int().describe('How many were deleted'),
  ids: z.array(z.int()).describe('The ids of those that were chosen'),
  requestId,
})

/**
 * The routes that show dead letters, retry and delete them. Their errors and messages have values, so all need the
 * scope `admin`.
 */
export const deadLetterRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/dead-letters',
    scope: 'admin',
    summary: 'Stream messages that could not become rows, newest first',
    tag: 'Events',
    query,
    answer: deadLettersAnswer,
    async handle(call, deps, { query: { limit = 100, source, before } }) {
      const letters = await listDeadLetters(deps.upkeep.database(), { source, before, limit })
      // a source that was removed may still have dead letters
      if (source !== undefined && before === undefined && letters.length === 0) requireLetterSource(deps.catalog(), source)
      const next = letters.length < limit ? null : (letters.at(-1)?.id ?? null)
      return jsonAnswer(call, { deadLetters: letters.map(letterJson), next })
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/dead-letters/retry',
    scope: 'admin',
    summary: 'Process dead letters again, as if they arrived now',
    description: 'A message that becomes a row is no longer a dead letter, and is at once in the online views. It counts once.',
    tag: 'Events',
    body: choice,
    example: { source: 'landings', reason: 'the producer was corrected' },
    answer: retriedLettersAnswer,
    async handle(call, deps, { body: { reason, ...given } }) {
      const { upkeep } = deps
      const db = upkeep.database()
      const ids = await chosenLetterIds(db, chosenBy(given), () => deps.catalog())
      // each letter is processed once, so a client that was answered that it took too long would learn nothing
      liftDeadline(call.deadline)
      const retried = await retryAndFold(
        {
          db,
          store: () => Promise.resolve(upkeep.store()),
          catalog: deps.catalog(),
          config: upkeep.streams,
          by: actorOf(call, reason),
          ...upkeep.folding,
        },
        ids,
      )
      return jsonAnswer(call, retried)
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/dead-letters/drop',
    scope: 'admin',
    summary: 'Delete dead letters',
    tag: 'Events',
    body: choice,
    example: { source: 'landings', reason: 'they were tests' },
    answer: droppedLettersAnswer,
    async handle(call, deps, { body: { reason, ...given } }) {
      const db = deps.upkeep.database()
      const ids = await chosenLetterIds(db, chosenBy(given), () => deps.catalog())
      return jsonAnswer(call, { dropped: await dropDeadLetters(db, ids, actorOf(call, reason)), ids })
    },
  }),
  // after the others, whose paths its pattern fits as well
  {
    method: 'GET',
    path: '/v1/dead-letters/:id',
    scope: 'admin',
    summary: 'One dead letter with its message',
    tag: 'Events',
    answer: deadLetterAnswer,
    async handle(call, deps) {
      const letter = await readDeadLetter(deps.upkeep.database(), idInPath(call, noDeadLetter))
      return jsonAnswer(call, letterWithBody(letter))
    },
  },
]

/** @throws LockstepError `INVALID_REQUEST` where none are named, or in more than one way */
function chosenBy({ ids, source, all }: Omit<z.output<typeof choice>, 'reason'>): LetterChoice {
  if ([ids, source, all].filter((each) => each !== undefined).length === 1) return { ids, source }
  throw new LockstepError('INVALID_REQUEST', 'Name the dead letters: send either "ids", or "source", or "all": true.')
}
