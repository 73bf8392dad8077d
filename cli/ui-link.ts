import { issueCode } from '../registry/keys/dashboard-sessions.ts'
import { userAtHost } from './actor.ts'
import type { Context } from './context.ts'

/** A link to the dashboard with a one-time code. It stands in the fragment, which browsers send to nobody. */
export async function uiLink(context: Pick<Context, 'database'>, uiUrl: string): Promise<string> {
  return `${uiUrl}#code=${await issueCode(await context.database(), userAtHost())}`
}

/** Prints another link each time a person presses Enter, until the command ends. */
export function offerLinks({ terminal, signal }: Pick<Context, 'terminal' | 'signal'>, link: () => Promise<string>): void {
  if (!terminal.canAsk || signal.aborted) return
  const answer = () => void link().then(terminal.print, () => undefined)
  process.stdin.on('data', answer)
  signal.addEventListener('abort', () => process.stdin.off('data', answer).pause(), { once: true })
}
