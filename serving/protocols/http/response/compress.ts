import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { RouteAnswer } from '../call.ts'

/** Shorter answers are sent as they are: they fit into a few packets, and take longer to compress than to send. */
const minBytes = 4096

const br = promisify(brotliCompress)
const gz = promisify(gzip)

/** Whether an answer is long enough to be compressed. */
export function isCompressible({ body, headers }: RouteAnswer): boolean {
  return body !== null && body.length >= minBytes && headers?.['content-encoding'] === undefined
}

type Encoding = 'br' | 'gzip'

/** The compressed bodies of kept answers, by encoding. */
const packed = new WeakMap<RouteAnswer, Map<Encoding, Promise<Uint8Array<ArrayBuffer>>>>()

/** A long answer, compressed where its client accepts that. One that is kept is compressed once. */
export async function compressed(made: RouteAnswer, accepted: string | undefined): Promise<RouteAnswer> {
  const { body: plain } = made
  if (plain === null) return made
  const vary = { ...made.headers, vary: 'accept-encoding' }
  const encoding = chosen(accepted ?? '')
  if (encoding === null) return { ...made, headers: vary }
  const body = made.kept === true ? await packedOnce(made, plain, encoding) : await pack(plain, encoding)
  return { ...made, body, headers: { ...vary, 'content-encoding': encoding } }
}

function packedOnce(made: RouteAnswer, plain: string | Uint8Array, encoding: Encoding): Promise<Uint8Array<ArrayBuffer>> {
  const known = packed.get(made) ?? new Map<Encoding, Promise<Uint8Array<ArrayBuffer>>>()
  packed.set(made, known)
  let body = known.get(encoding)
  if (body === undefined) known.set(encoding, (body = pack(plain, encoding)))
  return body
}

async function pack(plain: string | Uint8Array, encoding: Encoding): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    encoding === 'br' ? await br(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }) : await gz(plain, { level: 4 }),
  )
}

/** The better one of the encodings in `accept-encoding`, whose order means nothing. */
function chosen(accepted: string): Encoding | null {
  const taken = new Map<string, boolean>()
  for (const part of accepted.toLowerCase().split(',')) {
    const [name = ''] = part.split(';', 1)
    taken.set(name.trim(), !/;\s*q=0(\.0*)?\s*$/.test(part))
  }
  if (taken.get('br') === true) return 'br'
  // the star stands for the encodings that are not named
  return (taken.get('gzip') ?? taken.get('*')) === true ? 'gzip' : null
}
