import { pipelineChangeAnswer } from '../serving/protocols/http/streaming/pipeline-schemas.ts'
import { pausePipeline, resumePipeline } from '../serving/streaming/pipeline-state.ts'
import { actorOf } from './actor.ts'
import type { Outcome } from './command.ts'
import type { Context } from './context.ts'
import type { Input } from './input.ts'
import { serverOf } from './remote/server-option.ts'

const texts = {
  pause: { done: 'is paused. Workers stop within seconds.', same: 'was paused already.' },
  resume: { done: 'runs again.', same: 'was not paused.' },
}

/** Pauses or resumes the pipeline NAME, in the database or through a server. */
export async function changePipeline(context: Context, input: Input, action: 'pause' | 'resume'): Promise<Outcome> {
  const change = await setPaused(context, input, action)
  const { done, same } = texts[action]
  return { json: change, text: `The pipeline "${change.pipeline}" ${change.changed ? done : same}` }
}

interface PipelineChange {
  readonly pipeline: string
  readonly paused: boolean
  /** False: it was so before. */
  readonly changed: boolean
}

async function setPaused(context: Context, input: Input, action: 'pause' | 'resume'): Promise<PipelineChange> {
  const [given, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
  if (server !== null) {
    const path = `/v1/pipelines/${encodeURIComponent(given)}/${action}`
    const { pipeline, paused, changed } = await server.ask('POST', path, { reason: by.reason }, pipelineChangeAnswer)
    return { pipeline, paused, changed }
  }
  const { name } = (await context.catalog()).pipeline(given).spec
  const change = action === 'pause' ? pausePipeline : resumePipeline
  return { pipeline: name, paused: action === 'pause', changed: await change(await context.database(), name, by) }
}
