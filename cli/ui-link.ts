import { LockstepError, messageOf } from '../kernel/errors.ts'
import { leaveCode } from '../registry/keys/code-files.ts'
import { codeSeconds, issueCode } from '../registry/keys/dashboard-sessions.ts'
import type { Config } from '../runtime/config.ts'
import { hasEmbeddedOwner } from '../runtime/embedded/embedded-owner.ts'
import { userAtHost } from './actor.ts'
import type { Context } from './context.ts'
import { connectServer } from './remote/server.ts'

/** A link to the dashboard with a one-time code. It stands in the fragment, which browsers send to nobody. */
export async function uiLink(context: Pick<Context, 'database'>, uiUrl: string): Promise<string> {
  return `${uiUrl}#code=${await issueCode(await context.database(), userAtHost())}`
}

/**
 * A link to the dashboard of a running server.
 *
 * @throws LockstepError `SERVER_UNAVAILABLE`, or what the server says where it shows no dashboard at that address
 */
export async function runningUiLink(context: Context): Promise<string> {
  const { config } = context
  const isEmbedded = config.postgresUrl === null
  if (isEmbedded && !(await hasEmbeddedOwner(config.directory))) {
    throw new LockstepError(
      'SERVER_UNAVAILABLE',
      `No server has the embedded database in "${config.directory}" open. Start "lockstep serve" there, or set LOCKSTEP_DIR to the server's folder. "lockstep dev" prints a link where it runs.`,
      { details: { directory: config.directory } },
    )
  }
  const own = ownAddress(config)
  const origin = config.ui.publicUrl?.origin ?? own
  // a server may be unable to reach itself by its public name
  await requireDashboard(context, origin).catch(async (error: unknown) => {
    if (origin === own || !(error instanceof LockstepError) || error.code !== 'SERVER_UNAVAILABLE') throw error
    await requireDashboard(context, own).catch(() => {
      throw error
    })
  })
  const url = `${origin}/ui/`
  return isEmbedded ? `${url}#code=${await leaveCode(config.directory, userAtHost(), codeSeconds)}` : await uiLink(context, url)
}

/** Where a browser of the server's machine finds the dashboard. */
function ownAddress({ ui: { listen }, host: mainHost, port: mainPort, tls }: Config): string {
  const { host, port } = listen ?? { host: mainHost, port: mainPort }
  const named = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `${tls === null ? 'http' : 'https'}://${named}:${port}`
}

async function requireDashboard({ config, signal }: Context, origin: string): Promise<void> {
  const server = connectServer(origin, { apiKey: null, signal, silenceMs: config.serverSilenceMs })
  let answer: Response
  try {
    answer = await server.send('GET', '/ui/')
  } catch (cause) {
    signal.throwIfAborted()
    // it runs, and may be busy
    if (cause instanceof LockstepError && cause.details['silent'] === true) throw cause
    // a certificate that this process does not know may be known to browsers
    if (/certificate/i.test(reasonOf(cause))) return
    throw new LockstepError(
      'SERVER_UNAVAILABLE',
      `No server answers at "${origin}": ${reasonOf(cause)}. Start "lockstep serve", or set LOCKSTEP_HOST and LOCKSTEP_PORT, LOCKSTEP_UI_LISTEN or LOCKSTEP_PUBLIC_URL as the server has them.`,
      { cause, details: { url: origin } },
    )
  }
  if (!answer.ok) throw await server.refusal(answer)
  await answer.body?.cancel()
}

function reasonOf(error: unknown): string {
  const inner = error instanceof LockstepError ? error.cause : error
  return inner instanceof Error && inner.cause instanceof Error ? messageOf(inner.cause) : messageOf(inner)
}

/** Prints another link each time a person presses Enter, until the command ends. */
export function offerLinks({ terminal, signal }: Pick<Context, 'terminal' | 'signal'>, link: () => Promise<string>): void {
  if (!terminal.canAsk || signal.aborted) return
  const answer = () => void link().then(terminal.print, () => undefined)
  process.stdin.on('data', answer)
  signal.addEventListener('abort', () => process.stdin.off('data', answer).pause(), { once: true })
}
