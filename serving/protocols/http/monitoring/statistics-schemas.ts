import { z } from 'zod'

const count = (what: string) => z.int().describe(what)
const milliseconds = (what: string) => z.number().nullable().describe(what)
const latency = (what: string) =>
  z
    .object({
      mean: milliseconds('The mean'),
      p50: milliseconds('The median'),
      p95: milliseconds('95 % are as short'),
      p99: milliseconds('99 % are as short'),
    })
    .describe(`${what}, milliseconds within 5 %`)
const counts = z.record(z.string(), z.int())

const traffic = {
  requests: count('Answered and failed requests'),
  rows: count('Rows of answered requests'),
  sampledRows: count('Rows whose values were taken'),
  cacheHits: count('Rows that the prediction cache answered'),
  errors: counts.describe('Failed requests by error code'),
  bypassed: counts.describe('Requests that a candidate failed and the champion answered, by error code. They are not among the errors'),
  latencyMs: z.object({
    total: latency('From the arrival of an answered request to its answer'),
    features: latency('Reading the features'),
    wait: latency('Waiting for a run of the model'),
    run: latency('The run of the model'),
  }),
}

const column = z.object({
  statuses: counts.describe('All rows by status'),
  sampled: count('Rows whose values were taken; the other figures are of these'),
  entities: count('Distinct entities of these rows, by the key of the view that the column comes from'),
  nulls: count('Nulls'),
  nans: count('NaN'),
  plusInfinities: count('Infinities above zero'),
  minusInfinities: count('Infinities below zero'),
  moments: z
    .object({
      count: count('Finite numbers'),
      mean: z.number(),
      deviation: z.number().nullable(),
      least: z.number(),
      greatest: z.number(),
    })
    .nullable()
    .describe('Figures of finite numbers, with booleans as 0 and 1; null: there are none'),
  values: z
    .object({
      complete: z.boolean().describe('Whether all values are counted, or a fair sample of the values'),
      top: z.array(z.object({ value: z.string(), count: z.int() })).describe('The most frequent ones'),
    })
    .nullable()
    .describe('The values of texts and booleans; null: another type'),
  bins: z.array(z.object({ binsId: z.string(), counts: z.array(z.int()) })).describe("Rows by bin of the version's baseline"),
})

/** The answer of `GET /v1/models/{name}/statistics`, and what `lockstep stats` prints. */
export const statisticsFields = z.object({
  model: z.string().describe('The name of the model'),
  from: z.string().describe('The begin of the window, RFC 3339'),
  to: z.string().describe('Its end, RFC 3339'),
  total: z
    .object({
      ...traffic,
      entities: count('Distinct entities of the sampled rows, by the key of the service that has most; estimated if there are many'),
      columns: z.record(z.string(), column).describe('By feature; "output:NAME" for an output'),
    })
    .describe('The figures of the complete window'),
  groups: z
    .array(
      z.object({
        version: z.int().nullable().describe('0: the request failed before a version was chosen'),
        role: z.string().nullable().describe('Why the version answered'),
        ...traffic,
      }),
    )
    .describe('By version and role'),
  series: z
    .array(
      z.object({
        at: z.string().describe('The begin of the period, RFC 3339'),
        of: z.string().nullable().describe('The version or role'),
        figures: z.object(traffic).nullable().describe('null: no server was measured in the period. It is a gap and not a zero'),
      }),
    )
    .describe('By period, if the request names a step'),
  processes: z
    .object({
      cpuSeconds: z.number().describe('Processor seconds'),
      errors: counts.describe('All errors that were answered over HTTP, by code'),
    })
    .describe('Figures of all server processes, whatever they answered'),
  coverage: z.object({
    minutes: count('Minutes that a server process has written'),
    missing: z
      .array(z.object({ from: z.string().describe('Its begin, RFC 3339'), to: z.string().describe('Its end, RFC 3339') }))
      .describe('Times that a process did not write, although it had not said that it ends'),
  }),
})

export const statisticsAnswer = statisticsFields.extend({ requestId: z.string().describe('The id of the request') })
