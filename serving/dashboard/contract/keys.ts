import { z } from 'zod'
import { moment } from './answer.ts'

/** `GET /ui/api/keys` */
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
    }),
  ),
  scopes: z.array(z.string()).describe('What a new key can have'),
})
export type KeysData = z.output<typeof keys>

/** `POST /ui/api/keys`: the secret is never shown again. */
export const newKey = z.object({ id: z.string(), secret: z.string() })
export type NewKey = z.output<typeof newKey>
