import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import { dayMicros, parseTimestamp } from '../../../../kernel/values/time.ts'
import { outcomeReport } from '../../../../monitoring/outcomes/outcome-report.ts'
import { findPredictions, outcomeEvents, outcomeOf } from '../../../../monitoring/outcomes/sent-outcomes.ts'
import { loggedShare } from '../../../../runtime/settings/log-shares.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import type { ServingContext } from '../../../context.ts'
import { readBody } from '../request/body.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { maxEvents } from '../data/events-route.ts'
import { withEventIds } from '../request/idempotent.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'

const sentOutcome = z.strictObject({
  predictionId: z.string().min(1).nullish().describe('The id that the prediction was answered with'),
  entity: z.record(z.string(), z.unknown()).nullish().describe('The key of the source, for outcomes that are matched by entity'),
  value: z.unknown().describe('The outcome of the prediction; null: unknown'),
  at: z.union([z.string(), z.number()]).nullish().describe('When it happened. Default: now'),
  id: z.string().nullish().describe('An outcome that is sent again with its id is stored once'),
})

const outcomesSchema = z.strictObject({
  outcome: z.string().optional().describe('The name of the outcome'),
  model: z.string().optional().describe('Instead of its name: the model, if it has only one outcome'),
  outcomes: z.array(sentOutcome).min(1).max(maxEvents).describe('The outcomes of predictions, in any order'),
})

const outcomesAnswer = z.object({
  outcome: z.string().describe('The name of the outcome'),
  accepted: z.int().describe('How many were written'),
  duplicates: z.int().describe('How many had been written before, according to their ids'),
  late: z.int().nullable().describe('How many happened after "within", so that figures leave them out; null: they are matched by entity'),
  unknown: z
    .int()
    .nullable()
    .describe('How many predictions are not in the prediction log; null: it cannot be known, because not all predictions are logged'),
  logShare: z.number().describe('The share of predictions that this server logs, 0 to 1'),
  requestId,
})

const momentQuery = (what: string) => z.coerce.number().int().optional().describe(`${what}, epoch microseconds`)
const countsQuery = z.object({
  from: momentQuery('Predictions from then on, at most 366 days before "to". Default: 7 days before'),
  to: momentQuery('Predictions before. Default: "asOf"'),
  asOf: momentQuery('What was known then. Default: now'),
})

/** What `GET /v1/outcomes/{name}/counts` answers. */
export const outcomeReportAnswer = z.object({
  outcome: z.string().describe('The name of the outcome'),
  model: z.string().describe('The model whose predictions it judges'),
  output: z.string().nullable().describe('The output that it judges; null: none'),
  source: z.string().describe('The source whose rows it reads'),
  type: z.string().describe('The type of its values'),
  column: z.string().nullable().describe('The column with its value; null: a function computes it'),
  match: z.string().describe('How a row finds its prediction'),
  within: z.string().describe('How long after a prediction it may happen'),
  missing: z.union([z.boolean(), z.number(), z.string()]).describe('The outcome of a prediction without a row: "exclude", or a value'),
  figures: z.record(z.string(), z.string()).describe('Business figures: by name, the column'),
  from: z.string().describe('Predictions from then on, RFC 3339'),
  to: z.string().describe('Predictions before, RFC 3339'),
  asOf: z.string().describe('Only rows that were known at this time count, RFC 3339'),
  logShare: z.number().describe('The share of predictions that this server logs, 0 to 1'),
  counts: z.object({
    predictions: z.int().describe('The logged predictions of that time'),
    mature: z.int().describe('Those after which "within" has passed'),
    immature: z.int().describe('The others'),
    matched: z.int().describe('Mature predictions with a row'),
    missing: z.int().describe('Mature predictions without a row'),
    late: z
      .int()
      .nullable()
      .describe('How many of the missing have a row that happened after "within"; null: the outcome is matched by entity'),
  }),
  requestId,
})

/** The routes that take what came of predictions, and count it. */
export const outcomeRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/outcomes',
    scope: 'push',
    rowsIn: 'outcomes',
    summary: 'Write outcomes of predictions, all or none',
    description:
      'An outcome after `within`, or of a prediction that is not logged, is stored and counted. If one has the wrong type, nothing is stored, and the error has its index.',
    tag: 'Events',
    body: outcomesSchema,
    example: { outcome: 'chargeback', outcomes: [{ predictionId: '01JQ3/0', value: true, at: '2026-03-02T12:00:00Z', id: 'cb-1' }] },
    answer: outcomesAnswer,
    handle: answerOutcomes,
  },
  checkedRoute({
    method: 'GET',
    path: '/v1/outcomes/:name/counts',
    scope: 'read',
    summary: 'How many logged predictions have an outcome, lack one, or are not mature',
    tag: 'Find',
    query: countsQuery,
    answer: outcomeReportAnswer,
    async handle(call, deps, { query }) {
      const plan = deps.catalog().outcome(nameInPath(call))
      const { asOf = deps.clock(), to = asOf, from = to - defaultWindowMicros } = query
      if (from >= to) throw new LockstepError('INVALID_REQUEST', 'The window is empty: "from" must be before "to".')
      if (to - from > maxWindowMicros)
        throw new LockstepError('INVALID_REQUEST', 'The window is longer than 366 days; ask for a shorter one, or for several.')
      // the database may take longer than the deadline of requests for a large window
      liftDeadline(call.deadline)
      const share = loggedShare(deps.logShares, plan.spec.model)
      return jsonAnswer(call, await outcomeReport(cancelOnDisconnect(call, deps.upkeep.database()).db, plan, { from, to, asOf }, share))
    },
  }),
]

const defaultWindowMicros = 7 * dayMicros
const maxWindowMicros = 366 * dayMicros

async function answerOutcomes(call: Call, deps: ServingContext): Promise<RouteAnswer> {
  const { outcomes: metrics } = deps.metrics
  const body = await readBody(call, deps.bodyLimitBytes, outcomesSchema)
  const receivedAt = deps.clock()
  const plan = outcomeOf(deps.catalog(), body)
  const { name, model, match } = plan.spec
  try {
    const source = deps.catalog().pushSource(plan.spec.source.name)
    const events = outcomeEvents(plan, body.outcomes, receivedAt)
    const pushed = await deps.intake.push(source, withEventIds(call, events), { to: 'both', receivedAt, span: call.span })
    const ids = body.outcomes.map(({ predictionId }) => predictionId ?? '')
    const times = body.outcomes.map(({ at }) =>
      at === undefined || at === null ? receivedAt : typeof at === 'number' ? at : parseTimestamp(at),
    )
    const found = match.kind === 'prediction' ? await findPredictions(deps.upkeep.database(), plan, ids, times) : null
    const logShare = loggedShare(deps.logShares, model)
    const unknown = found === null || logShare < 1 ? null : found.unknown
    metrics.count(name, 'accepted', pushed.accepted)
    metrics.count(name, 'duplicate', pushed.duplicates)
    metrics.count(name, 'late', found?.late ?? 0)
    metrics.count(name, 'unknown', unknown ?? 0)
    return jsonAnswer(call, {
      outcome: name,
      accepted: pushed.accepted,
      duplicates: pushed.duplicates,
      late: found?.late ?? null,
      unknown,
      logShare,
    })
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'INVALID_EVENT') metrics.count(name, 'rejected', body.outcomes.length)
    throw error
  }
}
