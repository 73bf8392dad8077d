import { z } from 'zod'
import type { ListPlace } from '../../../runtime/jobs/read-jobs.ts'

export const pageSize = 50

/** A page after another one: the place of its last line. What runs or fires is first. */
export const paged = z.object({
  cursor: z
    .string()
    .regex(/^[fr]\d{1,15}$/, 'must be the cursor of an earlier answer')
    .transform((text): ListPlace => ({ isFirst: text.startsWith('f'), id: Number(text.slice(1)) }))
    .optional(),
})

/** @param read how many lines were read: one more than a page has, if there are more */
export function nextCursor(read: number, id: number, isFirst: boolean): string | null {
  return read > pageSize ? `${isFirst ? 'f' : 'r'}${id}` : null
}
