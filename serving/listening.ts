import type { Server } from 'node:net'
import { createServer } from 'node:net'
import { LockstepError } from '../kernel/errors.ts'

/**
 * Has a server listen, and waits until it does.
 *
 * @throws LockstepError `PORT_IN_USE`, or `CONFIG_INVALID` where the address is not of this machine or not allowed
 */
export function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port))
    server.once('error', refuse)
    server.listen(port, host, () => {
      server.off('error', refuse)
      resolve()
    })
  })
}

/**
 * Tries whether a server could listen there now, for whoever has much to do before it does.
 *
 * @throws LockstepError as `listening`
 */
export async function tryPort(host: string, port: number): Promise<void> {
  const server = createServer()
  await listening(server, host, port)
  await new Promise((resolve) => server.close(resolve))
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): LockstepError {
  if (cause.code === 'EADDRINUSE') {
    return new LockstepError(
      'PORT_IN_USE',
      `The port "${port}" on "${host}" is in use by another process; stop that one, or set LOCKSTEP_PORT to a free port.`,
      {
        cause,
        details: { host, port },
      },
    )
  }
  return new LockstepError(
    'CONFIG_INVALID',
    `The server cannot listen on "${host}" port "${port}": ${cause.message}. Set LOCKSTEP_HOST and LOCKSTEP_PORT.`,
    {
      cause,
      details: { host, port },
    },
  )
}
