import { createHash } from 'node:crypto'
import type { ByteSink } from './file-sink.ts'

/** Keeps of the bytes only what tells them from others. */
export function createHashSink(): ByteSink<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  return {
    write(chunk) {
      hash.update(chunk)
      bytes += chunk.length
      return Promise.resolve()
    },
    seal: () => Promise.resolve({ bytes, sha256: hash.digest('hex') }),
    abort: () => Promise.resolve(),
  }
}
