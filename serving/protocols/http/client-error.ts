import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { LockstepError } from '../../../kernel/errors.ts'
import { shapedError } from './error-answer.ts'
import { requestIdOf } from './request-id.ts'

/** Of the head of a request: a text in the query takes up to twelve bytes a character there. */
export const maxHeadBytes = 32 * 1024

/** What Node's parser says of a connection (https://nodejs.org/api/http.html#event-clienterror), as an HTTP status and what there is to do; all else is 400. */
const told: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    `The head of the request (its path, query and headers) is over ${maxHeadBytes / 1024} KiB; send less there, and what is long in the body.`,
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [
    '413 Payload Too Large',
    'The extensions of the chunks of the body are over 16 KiB; send chunks without.',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request has not come whole in the time that there is for it; send it faster.'],
}

/** Connections over which something came that is no request. */
const failed = new WeakSet<Duplex>()

/**
 * Answers what is no request, before any route sees it, in the shape of all errors, and ends the connection. What came
 * before it and was a request has its own answer first.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  // whatever comes after it is read no more
  socket.pause()
  if (failed.has(socket)) return
  failed.add(socket)
  answerInTurn(error, socket)
}

/**
 * As Node has it on a connection, by which its own answer to this would be written too: what is being answered over it.
 */
interface Answering {
  readonly _httpMessage?: ServerResponse | null
}

function answerInTurn(error: NodeJS.ErrnoException, socket: Duplex & Answering): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy(error)
    return
  }
  const { _httpMessage: before } = socket
  // of one whose body is what cannot be read, nothing else comes
  if (before !== null && before !== undefined && before.req.complete) {
    before.once('close', () => answerInTurn(error, socket))
    return
  }
  const [status, message] = told[error.code ?? ''] ?? [
    '400 Bad Request',
    `What came over the connection is not HTTP/1.1 (${error.code ?? error.message}); see that the client speaks it, and no TLS.`,
  ]
  const requestId = requestIdOf(undefined)
  const body = JSON.stringify(shapedError(new LockstepError('INVALID_REQUEST', message), 'lockstep', requestId))
  const head = [
    `HTTP/1.1 ${status}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ]
  // one that goes on sending is not waited for
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
