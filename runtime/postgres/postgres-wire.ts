/** The messages of PostgreSQL's wire protocol that are exchanged with PGlite. */

/** A simple query. */
export function queryMessage(sql: string): Buffer {
  return message('Q', Buffer.from(`${sql}\0`, 'utf8'))
}

/** The bytes of a COPY, in one CopyData message, and its end. */
export function copyMessages(data: readonly Uint8Array[]): Buffer[] {
  const bytes = data.reduce((sum, part) => sum + part.length, 0)
  return [head('d', bytes), ...data.map((part) => Buffer.from(part.buffer, part.byteOffset, part.length)), message('c', Buffer.alloc(0))]
}

/** Parses the ErrorResponse message at the start of the bytes; null for another message. */
export function parseErrorResponse(bytes: Buffer): Error | null {
  if (bytes[0] !== 'E'.charCodeAt(0)) return null
  const fields = new Map<string, string>()
  const end = 1 + bytes.readUInt32BE(1)
  for (let at = 5; at < end && bytes[at] !== 0;) {
    const stop = bytes.indexOf(0, at)
    fields.set(String.fromCharCode(bytes[at] ?? 0), bytes.toString('utf8', at + 1, stop))
    at = stop + 1
  }
  return Object.assign(new Error(fields.get('M') ?? 'The database failed.'), { code: fields.get('C'), where: fields.get('W') })
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([head(type, body.length), body])
}

function head(type: string, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.write(type, 'latin1')
  bytes.writeUInt32BE(bodyBytes + 4, 1)
  return bytes
}
