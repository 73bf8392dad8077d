import { z } from 'zod'
import { columns, moment, named, sparseStatuses, statuses, timeColumns, times, types } from '../features/feature-schemas.ts'

const servedAs = {
  version: z.int().describe('The number of the version'),
  service: z.string().describe('The feature service'),
  role: z
    .enum(['champion', 'canary', 'arm', 'requested'])
    .describe(
      'Why this version answered. champion: it answers requests that name no version. canary: by a rollout. arm: by an experiment. requested: the request named it',
    ),
  experiment: z.string().optional().describe('Only with the role arm: the experiment'),
  variant: z.string().optional().describe('Only with the role arm: the variant'),
  bypassed: z
    .int()
    .optional()
    .describe('The version in whose place this one answered, because that one failed or is bypassed. Absent: none'),
}

/** For the OpenAPI document: the hot path writes the answer by hand, and tests compare it with this. */
export const predictAnswer = z.object({
  model: z.string().describe('The name of the model'),
  version: servedAs.version.optional().describe('The number of the version; absent if several versions answered'),
  service: servedAs.service.optional().describe('The feature service; absent if several versions answered'),
  role: servedAs.role.optional(),
  experiment: servedAs.experiment,
  variant: servedAs.variant,
  bypassed: servedAs.bypassed,
  servedBy: z
    .array(
      z.object({
        ...servedAs,
        rows: z.array(z.int()).describe('The indexes of the entities that it answered, ascending'),
        frontiers: moment.frontiers,
        types,
      }),
    )
    .optional()
    .describe('Only if several versions answered: each with its rows. Frontiers are here then, and the types of each version'),
  ...moment,
  types,
  outputTypes: types,
  predictionIds: z
    .array(z.string().nullable())
    .describe('By index of the entities: the id of the prediction, as in the prediction log; null: it came from a batch'),
  fromBatch: z
    .array(
      z.object({ id: z.string().describe('The id of the batch'), asOf: z.string().describe('The time of its row, RFC 3339') }).nullable(),
    )
    .optional()
    .describe('Only with "from": "batch", by index of the entities: the batch of the prediction; null: the model has just made it'),
  predictions: z
    .union([z.array(named), columns])
    .describe('In the order of the entities; with the format columns: by name of the output, a value for each entity'),
  outputStatuses: z
    .union([z.array(z.record(z.string(), z.literal('INVALID'))), sparseStatuses])
    .optional()
    .describe('Only if an output is NaN or an infinity, which JSON cannot represent'),
  features: z
    .union([z.array(named), columns])
    .optional()
    .describe('By index of the entities; with the format columns: as in /v1/features'),
  statuses: z
    .union([z.array(statuses), sparseStatuses])
    .optional()
    .describe('By index of the entities; with the format columns: as in /v1/features'),
  eventTimes: z
    .union([z.array(times), timeColumns])
    .optional()
    .describe('By index of the entities; with the format columns: as in /v1/features'),
})
