import type { IncomingMessage } from 'node:http'
import { LockstepError } from '../../../kernel/errors.ts'

/** The error of a message that Node's parser accepts and the server does not, with its status. */
export interface MessageError {
  readonly status: number
  readonly error: LockstepError
}

/**
 * Checks the version, `Host` and `Transfer-Encoding` of a message by RFC 9112 (2.3, 3.2 and 6.1), and that its method is
 * not `TRACE`, which would echo headers.
 *
 * @returns null: it is valid
 */
export function messageError(message: IncomingMessage): MessageError | null {
  const { httpVersionMajor, httpVersion, method, headers, rawHeaders } = message
  if (httpVersionMajor !== 1) {
    return { status: 505, error: new LockstepError('INVALID_REQUEST', `The request uses HTTP/${httpVersion}; use HTTP/1.1.`) }
  }
  const { 'transfer-encoding': encoding } = headers
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    const sent = encoding.slice(0, 100)
    const text = `The transfer encoding "${sent}" is not supported. Send "chunked", and name the compression of the body in "Content-Encoding".`
    return { status: 501, error: new LockstepError('UNSUPPORTED', text) }
  }
  if (method === 'TRACE') return { status: 501, error: new LockstepError('UNSUPPORTED', 'The method TRACE is not supported.') }
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts < 2 ? null : { status: 400, error: new LockstepError('INVALID_REQUEST', 'The request has two "Host" headers; send one.') }
}
