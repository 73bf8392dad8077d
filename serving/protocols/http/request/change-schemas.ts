import { z } from 'zod'

/** A text that PostgreSQL can hold. */
export function storedText(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be Unicode without zero bytes and lone surrogates')
}

/** The reason of a change, in a body or a query. */
export const reasonSchema = storedText(2000).optional().describe('The reason, for the history')

/** The body of a change that needs nothing but its reason. */
export const reasonBody = z.strictObject({ reason: reasonSchema })

/** A flag in a query: `true` or `1`. */
export const queryFlag = z
  .enum(['true', 'false', '1', '0', ''])
  .transform((text) => text !== 'false' && text !== '0')
  .optional()

export const dryRunQuery = z.object({
  dryRun: queryFlag.describe('Answers what would be deleted, and deletes nothing'),
  reason: reasonSchema,
})
