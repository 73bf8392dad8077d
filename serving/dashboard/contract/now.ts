import { z } from 'zod'
import { chart, link, moment } from './answer.ts'

const problem = z.object({
  severity: z.enum(['page', 'warn', 'info']),
  what: z.string().describe('A sentence'),
  since: moment.nullable(),
  cause: z.string().nullable().describe('The likely cause'),
  todo: z.string().nullable().describe('What to do'),
  link: link.describe('The page that says more'),
  about: link.nullable().describe('What it is about, if that has another page'),
  command: z.string().nullable(),
})
export type Problem = z.output<typeof problem>

/** `GET /ui/api/now` */
export const now = z.object({
  headline: z.string().describe('One sentence: all is well, or what is not'),
  isWell: z.boolean().describe('Whether nothing needs anybody: no problem is a page or a warning'),
  problems: z
    .array(
      problem.extend({
        id: z.string().describe('The name of the cause, which stays the same while it lasts'),
        consequences: z.array(problem).describe('What likely follows from it, the worst first'),
      }),
    )
    .describe('One for each cause, the worst first'),
  traffic: chart.describe('Predictions of the last hour, or from the full hour before on; it says since when'),
  latency: chart.describe('Their times'),
  modelsSay: z.string().describe('Which time the figures of models are of, in a sentence'),
  models: z.array(
    z.object({
      name: z.string(),
      champion: z.number().nullable(),
      pinned: z.number().nullable(),
      requests: z.number().describe('In the time that `modelsSay` names'),
      errors: z.number(),
      p99Ms: z.number().nullable(),
      rollout: z.object({ version: z.number(), share: z.number(), step: z.number().nullable(), paused: z.boolean() }).nullable(),
      experiment: z.string().nullable().describe('The name of its running experiment'),
    }),
  ),
  views: z
    .object({ online: z.number(), late: z.number(), incomplete: z.number().describe('That the online store lacks, or has in part') })
    .nullable()
    .describe('null: not recorded, of a past moment'),
  jobs: z.object({
    running: z.number().nullable().describe('null: not recorded, of a past moment'),
    failed: z.number().describe('In the last day'),
  }),
  alerts: z.object({ firing: z.number(), silenced: z.number() }),
})
export type NowData = z.output<typeof now>
