import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import { requireExposures, requireRun } from '../../../../monitoring/experiments/analyze-run.ts'
import { exportUnits, unitColumns } from '../../../../monitoring/experiments/export-units.ts'
import { planExperiment } from '../../../../monitoring/experiments/plan-experiment.ts'
import { planUnits } from '../../../../monitoring/experiments/plan-units.ts'
import { createDatasetWriter } from '../../../../offline/files/dataset-writer.ts'
import { declaredExperiment } from '../../../../registry/experiments/declared-experiment.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { durationQuery } from '../request/check-query.ts'
import { experimentPlanAnswer } from './experiment-plan-schema.ts'
import { fileAnswer } from '../response/file-answer.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { commitWhileConnected } from '../request/client-connection.ts'

const planQuery = z.object({
  effect: z.coerce.number().gt(0).max(100).optional().describe('The effect to find, as a share of the metric: 0.02 is 2 %'),
  power: z.coerce.number().gt(0.05).lt(1).optional().describe('The chance to find it. Default: 0.8'),
  since: durationQuery().describe('How far back to look. Default: 28d'),
})
const exportQuery = z.object({
  format: z.enum(['parquet', 'csv', 'jsonl']).optional().describe('Default: jsonl'),
})

/** Routes that read the units of an experiment: to plan it, and to take them along. */
export const experimentUnitRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/experiments/:name/plan',
    scope: 'read',
    summary: 'Which effects an experiment can find, and how many units and days that takes',
    description:
      'Computes the primary metric for the units of the prediction log, as if each had been exposed at its first prediction. Needs logged predictions.',
    tag: 'Experiments',
    query: planQuery,
    answer: experimentPlanAnswer.extend({ requestId }),
    async handle(call, deps, { query: { effect = null, power = 0.8, since = '28d' } }) {
      const db = deps.upkeep.database()
      const { spec, coverage } = await declaredExperiment(db, nameInPath(call))
      const asOf = deps.clock()
      const query = { coverage, from: asOf - parseDuration(since), asOf, effect, power }
      const plan = await planExperiment(db, deps.catalog(), spec, query, { signal: commitWhileConnected(call).signal })
      return jsonAnswer(call, plan)
    },
  }),
  checkedRoute({
    method: 'GET',
    path: '/v1/experiments/:name/export',
    scope: 'read',
    summary: 'Download the units of an experiment, with variants, figures and covariates',
    description:
      'One row for each unit that saw one variant, as `lockstep experiment export` writes it. The units are read while the request waits, so raise `X-Request-Timeout-Ms` for many, or use the command.',
    tag: 'Experiments',
    query: exportQuery,
    produces: 'application/octet-stream',
    async handle(call, deps, { query: { format = 'jsonl' } }) {
      const db = deps.upkeep.database()
      const name = nameInPath(call)
      const run = await requireRun(db, name)
      requireExposures(run)
      const plan = planUnits(deps.catalog(), run.spec)
      const { signal } = commitWhileConnected(call)
      // for its owner alone: the file names units
      const folder = await mkdtemp(join(tmpdir(), 'lockstep-units-'))
      const path = join(folder, `units.${format}`)
      call.outgoing.once('close', () => void rm(folder, { recursive: true, force: true }))
      const writer = await createDatasetWriter(path, unitColumns(plan), { format, overwrite: false })
      try {
        const exposed = { experimentId: run.id, experiment: name, unit: run.spec.unit, asOf: deps.clock() }
        await exportUnits(db, plan, exposed, (batch) => writer.write(batch), { signal })
        const { bytes, sha256 } = await writer.close()
        signal.throwIfAborted()
        const answer = await fileAnswer({ path, name: `${name}.${format}`, bytes, sha256 })
        if (answer !== null) return answer
        throw new LockstepError(
          'INTERNAL',
          `The file with the units of the experiment "${name}" was removed before it was sent. Try again.`,
        )
      } catch (error) {
        await writer.abort()
        await rm(folder, { recursive: true, force: true })
        throw error
      }
    },
  }),
]
