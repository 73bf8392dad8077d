import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import type { ParityReport } from '../../../../monitoring/parity/check-parity.ts'
import { checkParity } from '../../../../monitoring/parity/check-parity.ts'
import { verdicts } from '../../../../monitoring/parity/classify.ts'
import { storedServices } from '../../../../registry/stored-services.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import { jsonAnswer } from '../call.ts'
import { durationQuery } from '../request/check-query.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'

const query = z.object({
  model: z.string().optional().describe('Only predictions of this model'),
  since: durationQuery().describe('How far back to look, such as 30m or 7d. Default: 1h'),
  sample: z.coerce.number().int().min(1).max(10_000).optional().describe('The maximum number of vectors, chosen at random. Default: 200'),
  grace: durationQuery().describe(
    "How long after it becomes visible a row may be missing online. Default: the view's freshness, or 10s if it declares none",
  ),
})

const meaning: Readonly<Record<(typeof verdicts)[number], string>> = {
  equal: 'Values that are equal',
  tie: 'Values of another row with the same times',
  ttl: 'Values whose age the two sides judge differently',
  stale: 'Values that lack rows which were not in the online store yet',
  late: 'Values that lack rows which arrived later',
  erased: 'Values that cannot be compared, because rows of their sources were erased since: they are no differences',
  other: 'Values that differ for another cause',
}
const verdictCounts = Object.fromEntries(verdicts.map((verdict) => [verdict, z.int().describe(meaning[verdict])]))
const shown = z.object({ value: z.unknown().describe('The value'), status: z.string().describe('Its status, such as PRESENT') })

export const parityAnswer = z.object({
  vectors: z.int().describe('The number of logged vectors that were recomputed'),
  skipped: z.object({
    definitions: z.int().describe('Vectors whose service is not in the registry or has changed'),
    degraded: z.int().describe('Vectors that were answered with defaults, because the online store was down'),
    unreadable: z.int().describe('Vectors that cannot be read or recomputed'),
  }),
  skippedBecause: z
    .array(
      z.object({
        reason: z.enum(['definitions', 'degraded', 'unreadable']).describe('Under which reason they are counted'),
        service: z.string().describe('The feature service with its version'),
        vectors: z.int().describe('The number of vectors'),
        cause: z.string().describe('The cause; of several errors with one code, the first'),
      }),
    )
    .optional()
    .describe('Why vectors were skipped, the most frequent cause first; absent: an older server'),
  features: z.array(
    z.object({
      service: z.string().describe('The feature service with its version'),
      feature: z.string().describe('The feature'),
      view: z.string().describe('The view that has it'),
      ...verdictCounts,
    }),
  ),
  examples: z
    .array(
      z.object({
        verdict: z.enum(verdicts).describe('How the value differs'),
        service: z.string().describe('The feature service with its version'),
        feature: z.string().describe('The feature'),
        model: z.string().describe('The model'),
        version: z.int().describe('Its version'),
        requestId: z.string().describe('The request'),
        entity: z.int().describe('The index of the entity in the request'),
        keys: z.unknown().describe('The key columns'),
        asOf: z.string().describe('The moment that the features hold for, RFC 3339'),
        logged: shown.describe('The served value'),
        history: shown.nullable().describe("The value from the offline history; null: the service's code fails on it"),
      }),
    )
    .describe('Differences, the first of each feature and kind'),
  requestId,
})

/** Its examples have keys and values of entities, so it needs the scope of the prediction log. */
export const parityRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/parity',
    scope: 'admin',
    summary: 'Recompute logged predictions from the offline history, and compare',
    description: 'Takes feature vectors from the prediction log, and recomputes the features of each as of its own moment.',
    tag: 'Monitoring',
    query,
    answer: parityAnswer,
    async handle(call, deps, { query: { model, since = '1h', sample = 200, grace } }) {
      if (model !== undefined) deps.catalog().model(model)
      liftDeadline(call.deadline)
      const { db, signal } = cancelOnDisconnect(call, deps.upkeep.database())
      const until = deps.clock()
      const report: ParityReport = await checkParity(
        db,
        { services: (ids) => storedServices(db, ids) },
        {
          since: until - parseDuration(since, 'The parameter "since"'),
          until,
          limit: sample,
          order: 'random',
          signal,
          model,
          graceMicros: grace === undefined ? undefined : parseDuration(grace, 'The parameter "grace"'),
        },
      )
      return jsonAnswer(call, report)
    },
  }),
]
