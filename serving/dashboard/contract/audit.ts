import { z } from 'zod'
import { moment } from './answer.ts'

/** `GET /ui/api/audit?who&what&since&reads&cursor`. `since` is a day; `reads=without` leaves out who saw values. */
export const audit = z.object({
  records: z.array(
    z.object({
      id: z.string(),
      at: moment,
      who: z.string(),
      what: z.string(),
      subject: z.string(),
      reason: z.string().nullable(),
      before: z.string().nullable(),
      after: z.string().nullable(),
    }),
  ),
  cursor: z.string().nullable(),
})
export type AuditData = z.output<typeof audit>
