import { z } from 'zod'
import { moment } from './answer.ts'

/** `GET /ui/api/session`, which is answered without a session too. */
const session = z.object({
  signedIn: z.boolean(),
  actor: z.string().nullable().describe('The id of an API key, or `user@host`'),
  scopes: z.array(z.enum(['ui:read', 'ui:operate', 'ui:admin', 'explain:read'])),
  since: moment.nullable(),
  readOnly: z.boolean().describe('Whether nothing can be changed from the dashboard'),
  version: z.string().nullable().describe('Of Lockstep'),
  commandUrl: z.string().nullable().describe('What commands take as --server; null: they use the database'),
  defaultAsOf: moment.nullable().describe('The moment that the server answers for; null: now'),
})
export type SessionData = z.output<typeof session>
