import { z } from 'zod'

/** A field of every answer. */
export const requestId = z.string().describe('The same as the header x-request-id')

/** The body of every error of Lockstep's own interface. */
export const errorBody = z.object({
  error: z.object({
    code: z.string().describe('The code that programs should check'),
    message: z.string().describe('What failed, the cause in quotes, and what to do'),
    details: z.record(z.string(), z.unknown()),
    requestId,
  }),
})
export const oipErrorBody = z.object({ error: z.string() })
export const feastErrorBody = z.string().describe('JSON in a text: { "module", "class", "message" }')
