import { LockstepError } from '../../kernel/errors.ts'
import { codeSeconds } from '../../registry/keys/dashboard-sessions.ts'
import type { Command } from '../command.ts'
import { uiLink } from '../ui-link.ts'

export const uiCommand: Command = {
  name: 'ui',
  summary: 'Print a link to the dashboard of a running server',
  description: [
    `The link logs in one browser with all scopes. It is valid for ${codeSeconds} seconds, and once. The server is the one of LOCKSTEP_PUBLIC_URL, LOCKSTEP_UI_LISTEN, or LOCKSTEP_HOST and LOCKSTEP_PORT.`,
    'With the embedded database, press Enter where "lockstep serve" or "lockstep dev" runs instead.',
  ],
  options: {},
  example: 'lockstep ui',
  async run(context) {
    const { config } = context
    if (config.postgresUrl === null) {
      throw new LockstepError(
        'EMBEDDED_ALONE',
        'Only the server can open the embedded database. Press Enter where "lockstep serve" or "lockstep dev" runs: it prints a link.',
      )
    }
    const { publicUrl, listen } = config.ui
    const { host, port } = listen ?? config
    const named = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host
    const url = `${publicUrl?.origin ?? `${config.tls === null ? 'http' : 'https'}://${named}:${port}`}/ui/`
    const link = await uiLink(context, url)
    return { json: { url: link }, text: link }
  },
}
