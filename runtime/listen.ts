import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import { LockstepError } from '../kernel/errors.ts'

/** Commands that serve have the option too. */
const mainSetting = '--port or LOCKSTEP_PORT'

/** The settings of an address and its port, if the address is not LOCKSTEP_HOST. */
const bothSettings: Readonly<Record<string, string>> = {
  LOCKSTEP_METRICS_PORT: 'LOCKSTEP_METRICS_HOST and LOCKSTEP_METRICS_PORT',
  LOCKSTEP_UI_LISTEN: 'LOCKSTEP_UI_LISTEN',
}

/**
 * Has a server listen, and waits until it does.
 *
 * @param setting the one that holds the port, for errors
 * @throws LockstepError `PORT_IN_USE`, or `CONFIG_INVALID` where the address is not of this machine or not allowed
 */
export function listening(server: Server, host: string, port: number, setting = mainSetting): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port, setting))
    server.once('error', refuse)
    server.listen(port, host, () => {
      server.off('error', refuse)
      resolve()
    })
  })
}

/**
 * Tries whether a server could listen there now, for a caller that has much to do before it listens.
 *
 * @returns the port; where that was 0, one that is free
 * @throws LockstepError as `listening`
 */
export async function tryPort(host: string, port: number, setting = mainSetting): Promise<number> {
  const server = createServer()
  await listening(server, host, port, setting)
  const { port: found } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return found
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number, setting: string): LockstepError {
  if (cause.code === 'EADDRINUSE') {
    return new LockstepError(
      'PORT_IN_USE',
      `The port "${port}" on "${host}" is in use by another process. Stop that process, or set ${setting} to a free port.`,
      {
        cause,
        details: { host, port },
      },
    )
  }
  return new LockstepError(
    'CONFIG_INVALID',
    `The server cannot listen on "${host}" port "${port}": ${cause.message}. Set ${bothSettings[setting] ?? `LOCKSTEP_HOST and ${setting}`}.`,
    {
      cause,
      details: { host, port },
    },
  )
}
