import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import type { Upload } from '../../../uploads/stored-uploads.ts'
import type { Uploads } from '../../../uploads/uploads.ts'
import type { Call } from '../call.ts'
import { jsonAnswer } from '../call.ts'
import { tooLarge } from '../request/incoming-request.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

/** The limit of the usual file systems. */
const maxNameBytes = 255

const newUploadQuery = z.object({
  name: z
    .string()
    .max(200)
    .regex(/^[^/\\\0]*[^/\\\0.][^/\\\0]*$/, 'must be the name of a file, without folders')
    .refine((name) => Buffer.byteLength(name) <= maxNameBytes, `must take at most ${maxNameBytes} bytes in UTF-8, as the names of files do`)
    .optional()
    .describe('The name of the file. Its extension says the format of rows: .parquet, .csv or .jsonl'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex')
    .optional()
    .describe('The SHA-256 of the complete file, hex. A file with another one is refused'),
})

const uploadAnswer = z.object({
  id: z.string().describe('The id by which other requests use the upload'),
  name: z.string().describe('The name of the file'),
  length: z.int().describe('The announced size, bytes'),
  offset: z.int().describe('The number of bytes that have arrived'),
  requestId,
})

const description =
  'As in tus 1.0 (https://tus.io/protocols/resumable-upload), whose clients work with it: POST announces the file, PATCH sends bytes from an offset on, HEAD says the offset after a broken connection.'

/** The routes by which files reach the server: in parts, so that a broken upload can resume. */
export const uploadRoutes: readonly Route[] = [
  checkedRoute({
    method: 'POST',
    path: '/v1/uploads',
    scope: 'admin',
    summary: 'Begin the upload of a file, or send a small one at once',
    description: `${description} The header \`Upload-Length\` announces the size in bytes. Without it, the body is the complete file.`,
    tag: 'Uploads',
    isStreamed: true,
    query: newUploadQuery,
    status: 201,
    answer: uploadAnswer,
    async handle(call, { uploads }, { query: { name = 'upload', sha256 = null } }) {
      const sent = byteCount(call, 'Content-Length')
      const length = byteCount(call, 'Upload-Length') ?? sent
      if (length === null) {
        throw new LockstepError(
          'INVALID_REQUEST',
          'The size of the file is missing; send the header "Upload-Length" with its number of bytes, or the complete file as the body.',
        )
      }
      const created = await uploads.create({ length, name, sha256 })
      const upload = sent === null || sent === 0 ? created : await appendFirst(call, uploads, created)
      return jsonAnswer(call, shown(upload), 201, {
        location: `/v1/uploads/${upload.id}`,
        ...offsetHeaders(upload),
      })
    },
  }),
  {
    method: 'GET',
    path: '/v1/uploads/:id',
    scope: 'admin',
    summary: 'The offset of an upload: how many bytes have arrived',
    description: 'HEAD answers the same in the headers `Upload-Offset` and `Upload-Length`.',
    tag: 'Uploads',
    answer: uploadAnswer,
    async handle(call, { uploads }) {
      const upload = await uploads.find(idOf(call))
      return jsonAnswer(call, shown(upload), 200, { 'cache-control': 'no-store', ...offsetHeaders(upload) })
    },
  },
  {
    method: 'PATCH',
    path: '/v1/uploads/:id',
    scope: 'admin',
    summary: 'Send the bytes of an upload from the offset in the header `Upload-Offset` on',
    description: `${description} The body is any number of bytes: what arrives before the connection breaks is kept. One request may take a minute.`,
    tag: 'Uploads',
    isStreamed: true,
    status: 204,
    async handle(call, { uploads }) {
      const offset = byteCount(call, 'Upload-Offset')
      if (offset === null) {
        throw new LockstepError('INVALID_REQUEST', 'The header "Upload-Offset" is missing; send the offset of the first byte of the body.')
      }
      const upload = await append(call, uploads, await uploads.find(idOf(call)), offset)
      return { status: 204, body: null, headers: offsetHeaders(upload) }
    },
  },
  {
    method: 'DELETE',
    path: '/v1/uploads/:id',
    scope: 'admin',
    summary: 'Remove an upload',
    tag: 'Uploads',
    status: 204,
    async handle(call, { uploads }) {
      await uploads.remove(idOf(call))
      return { status: 204, body: null, headers: { 'tus-resumable': '1.0.0' } }
    },
  },
]

/** A client that gets no answer does not know the id of the upload, so it could neither continue nor remove it. */
async function appendFirst(call: Call, uploads: Uploads, created: Upload): Promise<Upload> {
  try {
    return await append(call, uploads, created, 0)
  } catch (error) {
    await uploads.remove(created.id).catch(() => undefined)
    throw error
  }
}

async function append(call: Call, uploads: Uploads, { id, length }: Upload, offset: number): Promise<Upload> {
  if (offset + (byteCount(call, 'Content-Length') ?? 0) > length) throw tooLarge(length)
  return await uploads.append(id, offset, (signal) => call.incoming.parts(signal))
}

function byteCount({ incoming }: Call, header: string): number | null {
  const value = incoming.headers[header.toLowerCase()]
  if (value === undefined) return null
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value)
  throw new LockstepError('INVALID_REQUEST', `The header "${header}" is "${String(value)}"; send a whole number of bytes.`)
}

function shown({ id, name, length, offset }: Upload): object {
  return { id, name, length, offset }
}

function offsetHeaders({ offset, length }: Upload): Record<string, string> {
  return { 'upload-offset': String(offset), 'upload-length': String(length), 'tus-resumable': '1.0.0' }
}

function idOf({ params }: Call): string {
  return params['id'] ?? ''
}
