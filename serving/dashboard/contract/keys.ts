import { z } from 'zod'
import { moment } from './answer.ts'

/** `GET /ui/api/keys?cursor`, the newest first. */
export const keys = z.object({
  keys: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      scopes: z.array(z.string()),
      createdBy: z.string().nullable(),
      createdAt: moment,
      lastUsedAt: moment.nullable(),
      expiresAt: moment.nullable(),
      revokedAt: moment.nullable(),
      revision: z.string().describe('What a change of it sends as `If-Match`'),
    }),
  ),
  scopes: z.array(z.string()).describe('What a new key can have'),
  revision: z.string().describe('What the creation of a key sends as `If-Match`'),
  cursor: z.string().nullable().describe('`?cursor=` of the next page'),
})
export type KeysData = z.output<typeof keys>

/** `POST /ui/api/keys` */
const newKey = z.object({
  id: z.string(),
  secret: z.string().nullable().describe('Shown once. null: the request was sent again, and the key was made the first time'),
})
export type NewKey = z.output<typeof newKey>
