import type { IncomingMessage } from 'node:http'
import type { ErrorCode } from '../../../../kernel/errors.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import type { RouteAnswer } from '../call.ts'
import { shapedError } from '../response/error-answer.ts'

/**
 * The answer to a message that Node's parser accepts and the server does not; null: it is valid. By RFC 9112 the server
 * checks the version, `Host` and `Transfer-Encoding` (2.3, 3.2 and 6.1).
 */
export function invalidMessage(message: IncomingMessage, requestId: string): RouteAnswer | null {
  const { httpVersionMajor, httpVersion, headers, rawHeaders } = message
  const answer = (status: number, code: ErrorCode, text: string): RouteAnswer => ({
    status,
    body: JSON.stringify(shapedError(new LockstepError(code, text), 'lockstep', requestId)),
    // a proxy may read the message as another one: nothing more is taken from its connection
    headers: { connection: 'close' },
  })
  if (httpVersionMajor !== 1) return answer(505, 'INVALID_REQUEST', `The request uses HTTP/${httpVersion}; use HTTP/1.1.`)
  const { 'transfer-encoding': encoding } = headers
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    const sent = encoding.slice(0, 100)
    const text = `The transfer encoding "${sent}" is not supported. Send "chunked", and name the compression of the body in "Content-Encoding".`
    return answer(501, 'UNSUPPORTED', text)
  }
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts < 2 ? null : answer(400, 'INVALID_REQUEST', 'The request has two "Host" headers; send one.')
}
