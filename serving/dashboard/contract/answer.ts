import { z } from 'zod'

/** RFC 3339, in UTC. */
export const moment = z.string()

/** An answer of `/ui/api`. */
export interface Answer<Data> {
  readonly data: Data
  /** When it was read, or the moment that was asked for. */
  readonly asOf: string
  /** Set where figures are of a sample: of which. */
  readonly sampled?: string
  /** Set where some of it can still change: whether it cannot any more. */
  readonly mature?: boolean
  /** What is to say of the answer, in sentences: what was not recorded, or is not of the moment asked for. */
  readonly notes?: readonly string[]
}

const unit = z
  .enum(['count', 'perSecond', 'ms', 'share', 'seconds', 'bytes', 'value', 'odds'])
  .describe('odds: the base-10 logarithm of how many to 1, so that they are drawn on a logarithmic axis')

const point = z.object({
  t: z.number().describe('Epoch milliseconds'),
  v: z.number().nullable().describe('null: nothing was measured'),
  low: z.number().optional().describe('The lower end of the interval'),
  high: z.number().optional().describe('The upper end of the interval'),
  n: z.number().optional().describe('Of how many'),
})

const series = z.object({
  label: z.string(),
  unit,
  points: z.array(point),
  grey: z.literal(true).optional().describe('Drawn in grey: it is there to compare with'),
})
export type Series = z.output<typeof series>

const marks = z.object({ label: z.string(), points: z.array(z.object({ t: z.number().describe('Epoch milliseconds'), text: z.string() })) })

export const chart = z.object({
  finding: z.string().describe('What it shows, in a sentence'),
  series: z.array(series),
  marks: marks.optional().describe('Moments that say something'),
})
export type Chart = z.output<typeof chart>

/** A page about something. */
export const link = z.object({
  kind: z.enum([
    'now',
    'alert',
    'job',
    'view',
    'feature',
    'source',
    'service',
    'model',
    'rollout',
    'experiment',
    'entity',
    'receipt',
    'parity',
    'pipeline',
    'key',
    'dataset',
    'outcome',
    'monitor',
    'channel',
    'batch',
    'training',
    'table',
    'query',
    'stream',
  ]),
  id: z.string(),
})
export type Link = z.output<typeof link>
