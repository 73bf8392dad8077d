import { z } from 'zod'
import { requestId } from '../response/response-schemas.ts'

export const named = z.record(z.string(), z.unknown()).describe('By name of the feature or output')
const lackingStatus = z.enum(['NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE', 'UNAVAILABLE', 'INVALID'])
export const statuses = z.record(z.string(), z.enum(['PRESENT', ...lackingStatus.options])).describe('By name of the feature: its status')
export const columns = z.record(z.string(), z.array(z.unknown()))
export const sparseStatuses = z.record(z.string(), z.partialRecord(lackingStatus, z.array(z.int())))
export const timeColumns = z.record(z.string(), z.array(z.string().nullable()))
export const times = z.record(z.string(), z.string().nullable()).describe('By name of the feature: the event time, RFC 3339')

export const moment = {
  asOf: z.string().describe('The moment of all values, RFC 3339 in UTC'),
  skewed: z.literal(true).optional().describe("This machine's clock is behind the stored data"),
  degraded: z.literal(true).optional().describe('The online store could not be read: the features are stale values or defaults'),
  staleMs: z.number().optional().describe('The age of the oldest state in a degraded answer, in milliseconds'),
  late: z
    .array(z.string())
    .optional()
    .describe('Scheduled views whose run is overdue: their values lack what that run should have added by the moment of the answer'),
  requestId,
  frontiers: z
    .record(z.string(), z.string().nullable())
    .optional()
    .describe('By online view: the transactions whose rows are in the values'),
}

export const types = z.record(z.string(), z.string()).optional().describe('By name: the type, such as "int64" or "list(string)"')

/** For the OpenAPI document: the hot path writes the answer by hand, and tests compare it with this. */
export const featuresAnswer = z.object({
  service: z.string().describe('The feature service'),
  version: z.int().describe('The number of the version'),
  fingerprint: z.string().describe('The fingerprint of the service: equal fingerprints mean equal values'),
  ...moment,
  types,
  results: z
    .array(z.object({ features: named, statuses, eventTimes: times.optional() }))
    .optional()
    .describe('With the format rows: in the order of the entities'),
  features: columns.optional().describe('With the format columns: by name of the feature, a value for each entity'),
  statuses: sparseStatuses
    .optional()
    .describe('With the format columns: by name of the feature and status, the indexes of the entities. PRESENT is left out'),
  eventTimes: timeColumns.optional().describe('With the format columns: by name of the feature, the event times, RFC 3339'),
})
