import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { LockstepError } from '../../../../kernel/errors.ts'
import { shapedError } from './error-answer.ts'
import { requestIdOf } from '../../../traffic/request-id.ts'

/** The maximum size of the head of a request: text in the query takes up to twelve bytes a character. */
export const maxHeadBytes = 32 * 1024

/**
 * The HTTP status and the message for errors of Node's parser, by their code
 * (https://nodejs.org/api/http.html#event-clienterror). All others are 400.
 */
const parserErrors: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    `The path, query and headers of the request are over ${maxHeadBytes / 1024} KiB; send long values in the body.`,
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [
    '413 Payload Too Large',
    'The chunk extensions of the body are over 16 KiB; send chunks without extensions.',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request was not complete in time; send it faster.'],
}

/** Connections that have sent something that is no request. */
const failed = new WeakSet<Duplex>()

/**
 * Answers something that is no request, in the shape of all errors, and ends the connection. The requests before it are
 * answered first.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  // nothing more is read from it
  socket.pause()
  if (failed.has(socket)) return
  failed.add(socket)
  answerInTurn(error, socket)
}

/**
 * A socket of Node's server: the response that is being written to it. Node's own answer to such an error uses it too.
 */
interface ServerSocket {
  readonly _httpMessage?: ServerResponse | null
}

function answerInTurn(error: NodeJS.ErrnoException, socket: Duplex & ServerSocket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy(error)
    return
  }
  const { _httpMessage: before } = socket
  // a request whose body cannot be parsed is answered by this error
  if (before !== null && before !== undefined && before.req.complete) {
    before.once('close', () => answerInTurn(error, socket))
    return
  }
  const [status, message] = parserErrors[error.code ?? ''] ?? [
    '400 Bad Request',
    `The data on the connection is not HTTP/1.1 (${error.code ?? error.message}). Check that the client uses HTTP/1.1 without TLS.`,
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
  // do not wait for a client that keeps sending
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
