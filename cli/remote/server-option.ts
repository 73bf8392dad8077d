import { LockstepError } from '../../kernel/errors.ts'
import type { Option } from '../command.ts'
import type { Context } from '../context.ts'
import type { Input } from '../input.ts'
import type { Server } from './server.ts'
import { connectServer } from './server.ts'

export const serverOption: Option = {
  value: 'URL',
  help: 'Send the command to this server, with the API key LOCKSTEP_API_KEY, instead of using the database. Default: LOCKSTEP_SERVER, if it is set.',
}

/**
 * The server to which a command is sent; null, also for an empty option: the command uses the database.
 *
 * @throws LockstepError `USAGE` where the URL is none
 */
export function serverOf({ config, signal }: Context, input: Input): Server | null {
  const url = input.text('server') ?? config.server
  if (url === null || url === '') return null
  const parsed = URL.parse(url)
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol)) {
    throw new LockstepError('USAGE', `The server "${url}" is not a URL; write one such as http://localhost:8080.`)
  }
  if (parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '') {
    throw new LockstepError(
      'USAGE',
      `The URL of the server "${parsed.host}" has more than a host, a port and a path. Remove the rest; a key belongs in LOCKSTEP_API_KEY.`,
    )
  }
  return connectServer(url.replace(/\/+$/, ''), { apiKey: config.apiKey, signal, silenceMs: config.serverSilenceMs })
}
