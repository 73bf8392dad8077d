import type { Context } from 'hono'
import { z } from 'zod'
import type { Column } from '../../kernel/value-type.ts'
import { byPlan } from '../by-plan.ts'
import { readBody } from './body.ts'
import type { AppDeps, RequestEnv, RouteAnswer } from './context.ts'
import { asOfSchema, entitiesSchema, momentJson, readEntities, writerOf } from './features-route.ts'
import { recordWriter } from './json.ts'

const predictSchema = z.strictObject({
  model: z.string(),
  version: z.int().positive().optional(),
  entities: entitiesSchema,
  asOf: asOfSchema,
  include: z.array(z.enum(['features', 'eventTimes'])).optional(),
})

const outputsWriter = byPlan((outputs: readonly Column[]) => recordWriter(outputs))

/** `POST /v1/predict`: reads each entity's features, runs the model on them and answers its declared outputs. */
export async function answerPredict(c: Context<RequestEnv>, deps: AppDeps): Promise<RouteAnswer> {
  const now = deps.clock()
  const body = await readBody(c, deps.bodyLimitBytes, predictSchema)
  const catalog = deps.catalog()
  return await deps.models.use(catalog, body.model, body.version, async ({ version, service, outputs, predict }) => {
    const read = await readEntities(deps, catalog, service, body, now)
    const answers = await predict(read.rows.map((row) => row.values))
    let text = `{"model":${JSON.stringify(version.model)},"version":${version.version},"service":"${service.id}",${momentJson(c, deps, service, read)}`
    text += `,"predictions":[${answers.map(outputsWriter(outputs)).join()}]`
    const write = writerOf(service)
    if (body.include?.includes('features')) {
      text += `,"features":[${read.rows.map(write.features).join()}],"statuses":[${read.rows.map(write.statuses).join()}]`
    }
    if (body.include?.includes('eventTimes')) text += `,"eventTimes":[${read.rows.map(write.eventTimes).join()}]`
    return { status: 200, body: `${text}}` }
  })
}
