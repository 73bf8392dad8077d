import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import type { DashboardScope } from '../../../registry/keys/scope.ts'
import type { DashboardSession } from '../../../registry/keys/dashboard-sessions.ts'
import type { Actor } from '../../../runtime/audit.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { stableInt32 } from '../../../runtime/stable-id.ts'
import type { ServingContext } from '../../context.ts'
import type { Call } from '../../protocols/http/call.ts'
import { reasonSchema } from '../../protocols/http/request/change-schemas.ts'

/** The body of most acts. Nothing is done without a reason. */
export const reasonBody = z.strictObject({
  reason: reasonSchema.unwrap().refine((text) => text.trim() !== '', 'must say why'),
})

export interface Acting<Body = { readonly reason: string }> {
  readonly call: Call
  readonly deps: ServingContext
  readonly db: Database
  readonly session: DashboardSession
  readonly params: Readonly<Record<string, string>>
  readonly body: Body
  /** For the audit log. */
  readonly by: Actor
}

/** A change from the dashboard. The functions that it calls write the audit log. */
export interface Act<Schema extends z.ZodType<{ readonly reason: string }> = z.ZodType<{ readonly reason: string }>> {
  /** Under `/ui/api`. */
  readonly path: string
  readonly scope: DashboardScope
  readonly body: Schema
  /** The version of what it changes, which `If-Match` must name. */
  readonly revision: (acting: Acting<z.output<Schema>>) => Promise<string>
  run(acting: Acting<z.output<Schema>>): Promise<unknown>
  /** The answer to a repeated request if the first answer has a secret, because secrets are not stored. */
  readonly withoutSecret?: (data: unknown) => unknown
}

/** Checks an act's types, and forgets them. */
export function act<Schema extends z.ZodType<{ readonly reason: string }>>(one: Act<Schema>): Act {
  return one
}

/** The advisory locks of acts, apart from others of this database. */
const group = 5_496_233

/**
 * Does an act. Of the acts on one thing that pages of the same version send at once, one is done.
 *
 * @throws LockstepError `STALE`, `INVALID_REQUEST` without `If-Match`
 */
export async function runAct(one: Act, acting: Acting): Promise<unknown> {
  const { call, db, params } = acting
  const release = await db.tryLock(group, stableInt32(JSON.stringify(params)))
  if (release === null)
    throw new LockstepError('STALE', 'Another change of it is being made; nothing was done. Look again, and decide again.')
  try {
    requireCurrent(call.incoming.headers['if-match'], await one.revision(acting))
    return await one.run(acting)
  } finally {
    await release()
  }
}

/**
 * Refuses what was decided on a page that shows an older version.
 *
 * @throws LockstepError `STALE`, `INVALID_REQUEST` without `If-Match`
 */
function requireCurrent(ifMatch: string | undefined, revision: string): void {
  if (ifMatch === undefined)
    throw new LockstepError('INVALID_REQUEST', 'The header "If-Match" is missing; send the `revision` that the page shows.')
  const sent = ifMatch.trim().replaceAll('"', '')
  if (sent === revision) return
  throw new LockstepError('STALE', 'This has changed since you looked at it; nothing was done. Look again, and decide again.', {
    details: { sent: sent.slice(0, 100), revision },
  })
}
