import type { IncomingMessage, ServerResponse } from 'node:http'
import { LockstepError } from '../../kernel/errors.ts'
import { createSecretCheck } from '../../registry/keys/session-secret.ts'
import type { UiSettings } from '../../runtime/settings/ui-settings.ts'
import { pathOf } from '../protocols/http/request/request-path.ts'
import type { Route } from '../protocols/http/route.ts'
import { isLoopback } from '../traffic/loopback.ts'
import type { KeyRing } from '../traffic/key-ring.ts'
import { actRoutes } from './act-routes.ts'
import { pageRoutes } from './page-routes.ts'
import { createKeptAnswers, readRoutes } from './read-routes.ts'
import { securityHeaders } from './security-headers.ts'
import { requireOwnHost } from './session/browser-rules.ts'
import { sessionRoutes } from './session/session-routes.ts'

/** The dashboard, as a part of an HTTP server. */
export interface Dashboard {
  readonly routes: readonly Route[]
  /**
   * Runs before the routing of every request. Sets the headers of the dashboard's answers.
   *
   * @throws LockstepError `MISDIRECTED`, or `NOT_FOUND` where the dashboard is off
   */
  readonly before: (incoming: IncomingMessage, outgoing: ServerResponse) => void
  /** Says where the server listens. */
  listensOn(host: string): void
  /** Says at which URL the server takes commands in place of its embedded database. */
  takesCommandsAt(url: string): void
  /** Whether it can be on where the server listens. */
  readonly isOn: boolean
}

export interface DashboardOptions {
  readonly settings: UiSettings
  readonly keys: Pick<KeyRing, 'hasDashboardKey'>
  /** The folder of the browser's files; null: it is not built. */
  readonly folder: () => Promise<string | null>
  /** The folder of the embedded database; null: there is none. */
  readonly directory: string | null
}

export function createDashboard({ settings, keys, folder, directory }: DashboardOptions): Dashboard {
  const kept = createKeptAnswers()
  const sessionDeps = { settings, secrets: createSecretCheck(() => performance.now()) }
  const headers = Object.entries(securityHeaders(settings))
  /** Until the server listens, the dashboard is off. */
  let isLocal = false
  let commandUrl: string | null = null

  function requireOn(): void {
    if (settings.mode !== 'off' && (isLocal || (settings.mode === 'on' && keys.hasDashboardKey))) return
    throw new LockstepError(
      'NOT_FOUND',
      'The dashboard is off. Where other machines reach the server, it needs LOCKSTEP_UI set to on, and a key: "lockstep keys create --scope ui:read".',
    )
  }

  return {
    routes: [
      ...sessionRoutes(sessionDeps, directory, () => commandUrl),
      ...readRoutes(sessionDeps, kept),
      ...(settings.readOnly ? [] : actRoutes(sessionDeps, kept)),
      ...pageRoutes(folder),
    ],
    before(incoming, outgoing) {
      const { url = '' } = incoming
      // all others are the paths of the interface: these cost nothing
      if (!url.startsWith('/ui') && url.startsWith('/') && !url.includes('%')) return
      if (!isDashboardPath(pathOf(url))) return
      for (const [name, value] of headers) outgoing.setHeader(name, value)
      requireOn()
      requireOwnHost(incoming, settings)
    },
    get isOn() {
      return settings.mode === 'on' || (settings.mode === 'auto' && isLocal)
    },
    listensOn(host) {
      isLocal = isLoopback(host)
    },
    takesCommandsAt(url) {
      commandUrl = url
    },
  }
}

function isDashboardPath(path: string): boolean {
  return path === '/ui' || path.startsWith('/ui/')
}
