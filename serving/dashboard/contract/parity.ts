import { z } from 'zod'
import { moment } from './answer.ts'

/** `GET /ui/api/parity?from&to`: what the parity checks found, by feature and hour. */
export const parity = z.object({
  finding: z.string(),
  checkedAt: moment.nullable().describe('The beginning of the hour of the newest check'),
  times: z.array(z.number()).describe('Where each column begins, epoch milliseconds'),
  rows: z.array(
    z.object({
      feature: z.string(),
      view: z.string(),
      cells: z
        .array(
          z
            .object({
              checked: z.number().describe('Values that were compared'),
              erased: z.number().describe('Values that were not compared, because rows of their sources were erased since'),
              share: z.number().describe('Of values that differ'),
              by: z.record(z.string(), z.number()).describe('late, stale, tie, ttl, other'),
              example: z.string().nullable().describe('The id of a prediction'),
            })
            .nullable()
            .describe('null: nothing was checked'),
        )
        .describe('By column'),
    }),
  ),
})
export type ParityData = z.output<typeof parity>
