import { LockstepError } from '../../../kernel/errors.ts'
import type { DashboardScope } from '../../../registry/keys/scope.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import type { UiSettings } from '../../../runtime/settings/ui-settings.ts'
import type { Call } from '../../protocols/http/call.ts'
import { cookieOf, requireOwnPage } from './browser-rules.ts'
import type { DashboardSession } from '../../../registry/keys/dashboard-sessions.ts'
import { findSession } from '../../../registry/keys/dashboard-sessions.ts'
import type { SecretCheck } from '../../../registry/keys/session-secret.ts'

/** The dependencies for finding the session of a request. */
export interface SessionDeps {
  readonly settings: UiSettings
  readonly secrets: SecretCheck
}

/**
 * The session of a request to `/ui/api`, which a page of the dashboard must send. An API key is no session.
 *
 * @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, `UNSUPPORTED_MEDIA_TYPE`
 */
export async function requireSession(
  { incoming }: Call,
  db: Database,
  { settings, secrets }: SessionDeps,
  scope: DashboardScope,
): Promise<DashboardSession> {
  requireOwnPage(incoming, settings)
  const session = await sessionOf(incoming, db, { settings, secrets })
  if (session === null) throw new LockstepError('UNAUTHENTICATED', 'You are not logged in, or your session has ended; log in again.')
  requireDashboardScope(session, scope)
  return session
}

/** The session of the cookie of a request; null: there is none. */
export async function sessionOf(
  incoming: Call['incoming'],
  db: Database,
  { settings, secrets }: SessionDeps,
): Promise<DashboardSession | null> {
  const secret = cookieOf(incoming, settings.publicUrl)
  return secret === null || !(await secrets.isIssued(db, secret)) ? null : await findSession(db, secret)
}

/** @throws LockstepError `FORBIDDEN` */
export function requireDashboardScope({ actor, scopes }: DashboardSession, scope: DashboardScope): void {
  if (scopes.includes(scope)) return
  throw new LockstepError('FORBIDDEN', `This needs the scope "${scope}", which the session of "${actor}" does not have.`, {
    details: { needs: scope },
  })
}
