import { codeSeconds } from '../../registry/keys/dashboard-sessions.ts'
import type { Command } from '../command.ts'
import { runningUiLink } from '../ui-link.ts'

export const uiCommand: Command = {
  name: 'ui',
  summary: 'Print a link to the dashboard of a running server',
  description: [
    `The link logs in one browser with all scopes. It works once, within ${codeSeconds} seconds. The server is the one of LOCKSTEP_PUBLIC_URL, LOCKSTEP_UI_LISTEN, or LOCKSTEP_HOST and LOCKSTEP_PORT. It must be running.`,
    'With the embedded database, run it on the machine of "lockstep serve" with the same LOCKSTEP_DIR, in a container by "docker exec". Where "lockstep serve" or "lockstep dev" runs in a terminal, press Enter there instead.',
  ],
  options: {},
  example: 'lockstep ui',
  async run(context) {
    const link = await runningUiLink(context)
    return { json: { url: link }, text: link }
  },
}
