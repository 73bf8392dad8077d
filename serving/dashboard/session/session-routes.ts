import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import { readVersion } from '../../../runtime/version.ts'
import { readBody } from '../../protocols/http/request/body.ts'
import { jsonAnswer, jsonWithoutId } from '../../protocols/http/call.ts'
import type { Route } from '../../protocols/http/route.ts'
import { keyInHeaders } from '../../traffic/key-ring.ts'
import type { SessionData } from '../contract/session.ts'
import { cookieOf, requireOwnPage, requireSafeWay, setCookie } from './browser-rules.ts'
import { createLoginLimit } from './login-limit.ts'
import type { SessionDeps } from './require-session.ts'
import { sessionOf } from './require-session.ts'
import { beginByCode, beginByKey, endSession } from '../../../registry/keys/dashboard-sessions.ts'

const loginBody = z.strictObject({ code: z.string().max(200).optional() })

/**
 * Log-in and log-out. A key is sent here once, and nowhere else under `/ui`.
 *
 * @param directory the folder of the embedded database; null: there is none
 * @param commandUrl where the server takes commands in place of that database; null: they use the database
 */
export function sessionRoutes(sessionDeps: SessionDeps, directory: string | null, commandUrl: () => string | null): readonly Route[] {
  const { settings, secrets } = sessionDeps
  const limit = createLoginLimit(() => performance.now())
  const route = { path: '/ui/session', scope: null, isOwnOrigin: true, tag: '' } as const
  return [
    {
      ...route,
      method: 'POST',
      summary: 'Log in with an API key or a one-time code',
      async handle(call, deps) {
        const { incoming } = call
        requireOwnPage(incoming, settings)
        requireSafeWay(incoming, settings)
        const { code } = await readBody(call, 4096, loginBody, {})
        const address = incoming.socket.remoteAddress ?? ''
        const db = deps.upkeep.database()
        const key = keyInHeaders(incoming.headers)
        const credential = code ?? key
        if (credential === null)
          throw new LockstepError(
            'UNAUTHENTICATED',
            'Send an API key as "Authorization: Bearer KEY", or the one-time code of "lockstep ui".',
          )
        limit.check(address, credential)
        try {
          const secret = await (code === undefined ? beginByKey(db, credential) : beginByCode(db, code, directory))
          return jsonAnswer(call, {}, 201, { 'set-cookie': setCookie(incoming, settings.publicUrl, secret) })
        } catch (error) {
          if (error instanceof LockstepError && error.code === 'UNAUTHENTICATED') limit.failed(address, credential)
          throw error
        }
      },
    },
    {
      ...route,
      method: 'GET',
      path: '/ui/api/session',
      summary: 'Who is logged in',
      async handle({ incoming }, deps) {
        requireOwnPage(incoming, settings)
        const found = await sessionOf(incoming, deps.upkeep.database(), sessionDeps)
        const { readOnly } = settings
        const data: SessionData = {
          signedIn: found !== null,
          actor: found?.actor ?? null,
          scopes: [...(found?.scopes ?? [])],
          since: found?.createdAt.toISOString() ?? null,
          readOnly,
          version: found === null ? null : readVersion(),
          commandUrl: found === null ? null : commandUrl(),
          defaultAsOf: found === null || deps.defaultAsOf === null ? null : formatTimestamp(deps.defaultAsOf),
        }
        return jsonWithoutId({ data, asOf: formatTimestamp(deps.clock()) })
      },
    },
    {
      ...route,
      method: 'DELETE',
      summary: 'Log out',
      async handle(call, deps) {
        requireOwnPage(call.incoming, settings)
        const secret = cookieOf(call.incoming, settings.publicUrl)
        const db = deps.upkeep.database()
        if (secret !== null && (await secrets.isIssued(db, secret))) await endSession(db, secret)
        return jsonAnswer(call, {}, 200, {
          'set-cookie': setCookie(call.incoming, settings.publicUrl, null),
          // "cookies" would log out of every service of the domain, and of every port of localhost
          'clear-site-data': '"cache", "storage"',
        })
      },
    },
  ]
}
