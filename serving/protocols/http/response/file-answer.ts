import { stat } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import type { RouteAnswer } from '../call.ts'

export interface AnsweredFile {
  readonly path: string
  readonly name: string
  readonly bytes: number
  /** Identifies the content. */
  readonly sha256: string
}

/**
 * Answers a file, or the part of it that the header `Range` asks for, so that a broken download can resume (RFC 9110,
 * section 14). One range is answered; several are answered with the complete file.
 *
 * @param headers of the request; absent: the complete file is answered
 * @returns null where there is no such file, or one of another size
 */
export async function fileAnswer(
  { path, name, bytes, sha256 }: AnsweredFile,
  { range, 'if-range': ifRange }: IncomingHttpHeaders = {},
): Promise<RouteAnswer | null> {
  const found = await stat(path).catch(() => null)
  if (found === null || !found.isFile() || found.size !== bytes) return null
  const etag = `"${sha256}"`
  const headers = {
    etag,
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${name.replaceAll(/[^\w.-]/g, '_')}"`,
  }
  const asked = ifRange === undefined || ifRange === etag ? rangeOf(range, bytes) : null
  if (asked === 'none') return { status: 416, body: null, headers: { ...headers, 'content-range': `bytes */${bytes}` } }
  const { start, length } = asked ?? { start: 0, length: bytes }
  return {
    status: asked === null ? 200 : 206,
    body: null,
    file: { path, start, length },
    headers: {
      ...headers,
      'content-length': String(length),
      ...(asked === null ? {} : { 'content-range': `bytes ${start}-${start + length - 1}/${bytes}` }),
    },
  }
}

/** null: the complete file. `none`: the file has no such byte. */
function rangeOf(header: string | undefined, size: number): { readonly start: number; readonly length: number } | 'none' | null {
  const [, first = '', last = ''] = /^\s*bytes\s*=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*$/i.exec(header ?? '') ?? []
  if (first === '' && last === '') return null
  if (first === '') {
    const length = Math.min(size, Number(last))
    return length === 0 ? 'none' : { start: size - length, length }
  }
  const [start, end] = [Number(first), last === '' ? size - 1 : Math.min(size - 1, Number(last))]
  if (start >= size) return 'none'
  return end < start ? null : { start, length: end - start + 1 }
}
