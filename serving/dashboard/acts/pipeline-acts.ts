import { z } from 'zod'
import { parseTimestamp } from '../../../kernel/values/time.ts'
import { pausePipeline, replayPipeline, resumePipeline } from '../../streaming/pipeline-state.ts'
import { pipelineRevision } from '../pipelines/pipeline-models.ts'
import type { Act, Acting } from './act.ts'
import { act, reasonBody } from './act.ts'

const specOf = ({ deps, params }: Acting<unknown>) => deps.catalog().pipeline(params['id'] ?? '').spec

const ofPipeline = {
  scope: 'ui:operate',
  revision: (on: Acting<unknown>) => pipelineRevision(on.db, specOf(on).name),
} as const

export const pipelineActs: readonly Act[] = [
  act({
    ...ofPipeline,
    path: '/pipelines/:id/pause',
    body: reasonBody,
    run: async (on) => ({ changed: await pausePipeline(on.db, specOf(on).name, on.by) }),
  }),
  act({
    ...ofPipeline,
    path: '/pipelines/:id/resume',
    body: reasonBody,
    run: async (on) => ({ changed: await resumePipeline(on.db, specOf(on).name, on.by) }),
  }),
  act({
    ...ofPipeline,
    path: '/pipelines/:id/replay',
    body: reasonBody.extend({ from: z.string().trim().min(1).max(60) }),
    async run(on) {
      const { upkeep, catalog } = on.deps
      const start = { atMicros: parseTimestamp(on.body.from) }
      return { replays: await replayPipeline(on.db, upkeep.streams, catalog(), specOf(on), start, on.by) }
    },
  }),
]
