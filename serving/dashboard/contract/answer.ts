import { z } from 'zod'

/** RFC 3339, in UTC. */
export const moment = z.string()

/** An answer of `/ui/api`. */
export interface Answer<Data> {
  readonly data: Data
  /** When it was read. */
  readonly asOf: string
  /** Set where figures are of a sample: of which. */
  readonly sampled?: string
  /** Set where some of it can still change: whether it cannot any more. */
  readonly mature?: boolean
}

/** An error of `/ui/api`. */
export interface Refusal {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly details: Readonly<Record<string, unknown>>
    readonly requestId: string
  }
}

export const unit = z.enum(['count', 'perSecond', 'ms', 'share', 'seconds', 'bytes', 'value'])
export type Unit = z.output<typeof unit>

export const point = z.object({
  t: z.number().describe('Epoch milliseconds'),
  v: z.number().nullable().describe('null: nothing was measured'),
  low: z.number().optional().describe('The lower end of the interval'),
  high: z.number().optional().describe('The upper end of the interval'),
  n: z.number().optional().describe('Of how many'),
})
export type Point = z.output<typeof point>

export const series = z.object({ label: z.string(), unit, points: z.array(point) })
export type Series = z.output<typeof series>

export const chart = z.object({ finding: z.string().describe('What it shows, in a sentence'), series: z.array(series) })
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
    'key',
  ]),
  id: z.string(),
})
export type Link = z.output<typeof link>

/** How to get the same elsewhere. */
export const ways = z.object({
  command: z.string(),
  curl: z.string().nullable(),
  typescript: z.string().nullable(),
  sql: z.string().nullable(),
})
export type Ways = z.output<typeof ways>
