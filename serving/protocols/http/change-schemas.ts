import { z } from 'zod'

/** The reason of a change, in a body or a query. */
export const reasonSchema = z
  .string()
  .max(2000)
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be Unicode without zero bytes and lone surrogates')
  .optional()
  .describe('The reason, for the history')

/** A flag in a query: `true` or `1`. */
export const queryFlag = z
  .enum(['true', 'false', '1', '0', ''])
  .transform((text) => text !== 'false' && text !== '0')
  .optional()

export const dryRunQuery = z.object({
  dryRun: queryFlag.describe('Answers what would be deleted, and deletes nothing'),
  reason: reasonSchema,
})
