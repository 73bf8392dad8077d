import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { writePredictions } from '../../../../monitoring/prediction-log/write-predictions.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import { durationQuery } from '../request/check-query.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'
import { fileAnswer } from '../response/file-answer.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const query = z.object({
  model: z.string().describe('The model'),
  service: z.string().optional().describe("The feature service of the predictions, as name@version. Default: the model's current one"),
  since: durationQuery().describe('How far back to look, such as 30m or 7d. Default: 24h'),
  outcome: z.string().optional().describe('Adds what came of each prediction: an outcome of the model'),
  labelled: z.enum(['true', 'false']).optional().describe('With `outcome`: whether to leave out predictions without a value of it'),
  asOf: z.string().optional().describe('With `outcome`: what was known then, of predictions before it, RFC 3339. Default: now'),
  format: z.enum(['parquet', 'csv', 'jsonl']).optional().describe('Default: parquet'),
})

/** The header that says, as JSON, what is in the file. */
export const exportHeader = 'x-lockstep-export'
export const exportedPredictions = z.object({
  model: z.string(),
  service: z.string(),
  rows: z.int(),
  others: z.array(z.object({ id: z.string(), rows: z.int() })),
  outcome: z
    .object({ name: z.string(), asOf: z.string(), labelled: z.int(), assumed: z.int(), unlabelled: z.int(), immature: z.int() })
    .optional(),
})

export const predictionsExportRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/predictions/export',
    scope: 'admin',
    summary: 'Download the logged predictions of a model, with typed columns',
    description:
      'One row for each prediction of one feature service, as `lockstep predictions export` writes it. The header `x-lockstep-export` says as JSON how many rows the file has, and which other services made predictions in that time.',
    tag: 'Monitoring',
    query,
    produces: 'application/octet-stream',
    async handle(call, deps, { query: { model, service, since = '24h', outcome, labelled = 'false', asOf, format = 'parquet' } }) {
      const alone = labelled === 'true' ? 'labelled' : asOf === undefined ? null : 'asOf'
      if (outcome === undefined && alone !== null)
        throw new LockstepError('INVALID_REQUEST', `The parameter "${alone}" is about an outcome; add "outcome".`)
      const until = asOf === undefined ? deps.clock() : parseTimestamp(asOf)
      const wanted = {
        model,
        service,
        since: until - parseDuration(since, 'The parameter "since"'),
        until,
        outcome,
        labelled: labelled === 'true',
      }
      liftDeadline(call.deadline)
      const { db, signal } = cancelOnDisconnect(call, deps.upkeep.database())
      // for its owner alone: the file names entities
      const folder = await mkdtemp(join(tmpdir(), 'lockstep-predictions-'))
      const path = join(folder, `predictions.${format}`)
      call.outgoing.once('close', () => void rm(folder, { recursive: true, force: true }))
      try {
        const written = await writePredictions(db, deps.catalog(), wanted, { path, format, overwrite: false, signal })
        signal.throwIfAborted()
        const { bytes, sha256, ...about } = written
        const answer = await fileAnswer({ path, name: `${model}.${format}`, bytes, sha256 })
        if (answer !== null) return { ...answer, headers: { ...answer.headers, [exportHeader]: JSON.stringify(about) } }
        throw new LockstepError('INTERNAL', `The file with the predictions of "${model}" was removed before it was sent. Try again.`)
      } catch (error) {
        await rm(folder, { recursive: true, force: true })
        throw error
      }
    },
  }),
]
