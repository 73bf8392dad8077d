import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import { asRecord } from '../../../kernel/is-record.ts'
import { noAlert, readAlert } from '../../../monitoring/alerts/read-alerts.ts'
import { silenceAlert, silenceMicros, unsilenceAlert } from '../../../monitoring/alerts/silences.ts'
import { createKey, keysRevision, readKey, revokeKey } from '../../../registry/keys/api-keys.ts'
import { dashboardScopesOf, scopes } from '../../../registry/keys/scope.ts'
import { cancelJob, noJob, notRunning, retryJob } from '../../../runtime/jobs/end-job.ts'
import { readJob } from '../../../runtime/jobs/read-jobs.ts'
import { idInPath } from '../../protocols/http/call.ts'
import { storedText } from '../../protocols/http/request/change-schemas.ts'
import type { NewKey } from '../contract/keys.ts'
import { alertRevision } from '../operations/alerts-model.ts'
import { jobRevision } from '../operations/jobs-model.ts'
import { keyRevision } from '../operations/operation-models.ts'
import { requireDashboardScope } from '../session/require-session.ts'
import type { Act, Acting } from './act.ts'
import { act, reasonBody } from './act.ts'

/** How recent a log-in must be to create a key. */
const recentMs = 5 * 60_000

const ofJob = {
  scope: 'ui:operate',
  revision: async ({ db, call }: Acting<unknown>) => jobRevision(await readJob(db, idInPath(call, noJob))),
} as const

const ofAlert = {
  scope: 'ui:operate',
  revision: async ({ db, call }: Acting<unknown>) => alertRevision(await readAlert(db, idInPath(call, noAlert))),
} as const

export const operationActs: readonly Act[] = [
  act({
    ...ofJob,
    path: '/jobs/:id/cancel',
    body: reasonBody,
    async run({ call, db, by }) {
      const id = idInPath(call, noJob)
      if (await cancelJob(db, id, by)) return { id: String(id) }
      const { state } = await readJob(db, id)
      throw notRunning('job', id, { id, state }, 'STALE')
    },
  }),
  act({
    ...ofJob,
    path: '/jobs/:id/retry',
    body: reasonBody,
    async run({ call, db, by }) {
      const id = idInPath(call, noJob)
      await retryJob(db, id, by)
      return { id: String(id) }
    },
  }),
  act({
    ...ofAlert,
    path: '/alerts/:id/silence',
    body: reasonBody.extend({ for: z.string().max(20) }),
    async run({ call, db, by, body }) {
      const { endsAt } = await silenceAlert(db, idInPath(call, noAlert), silenceMicros(body.for), by)
      return { silencedUntil: endsAt.toISOString() }
    },
  }),
  act({
    ...ofAlert,
    path: '/alerts/:id/unsilence',
    body: reasonBody,
    async run({ call, db, by }) {
      await unsilenceAlert(db, idInPath(call, noAlert), by)
      return { silencedUntil: null }
    },
  }),
  act({
    path: '/keys',
    scope: 'ui:admin',
    revision: async ({ db }) => String(await keysRevision(db)),
    body: reasonBody.extend({ name: storedText(200).trim().min(1), scopes: z.array(z.enum(scopes)).min(1) }),
    async run({ db, session, by, body }): Promise<NewKey> {
      if (session.ageMs > recentMs) {
        throw new LockstepError('FORBIDDEN', 'To create a key, log in again: it needs a log-in within the last five minutes.', {
          details: { login: 'again' },
        })
      }
      // a session creates no key that allows more on the dashboard than the session does
      for (const scope of dashboardScopesOf(body.scopes)) requireDashboardScope(session, scope)
      const limits = { requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
      const { text, key } = await createKey(db, { name: body.name, scopes: [...new Set(body.scopes)], ...limits }, by)
      return { id: key.id, secret: text }
    },
    withoutSecret: (made) => ({ ...asRecord(made), secret: null }),
  }),
  act({
    path: '/keys/:id/revoke',
    scope: 'ui:admin',
    revision: async ({ db, params }) => keyRevision(await readKey(db, params['id'] ?? '')),
    body: reasonBody,
    async run({ db, params, by }) {
      const { id, revokedAt } = await revokeKey(db, params['id'] ?? '', by)
      return { id, revokedAt: revokedAt?.toISOString() ?? null }
    },
  }),
]
