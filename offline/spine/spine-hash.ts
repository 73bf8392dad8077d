import { createHash } from 'node:crypto'
import { ByteWriter } from '../../kernel/values/binary.ts'
import { valueCodec } from '../../kernel/values/value-codec.ts'
import { hashBytes, hash as rowHash } from '../../kernel/values/value-hash.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'

/** Hashes that identify the rows of a spine, whatever file or query they came from. Both in hex. */
export interface SpineDigest {
  /** SHA-256 over the names of the columns and the typed values of the rows, in order. */
  readonly sha256: string
  /** The sum of the hashes of all rows: the same rows in any order have the same sum. */
  readonly rowsHash: string
}

export interface SpineHash {
  /** @param columns consecutive rows, by index of `spine.columns` */
  update(length: number, columns: readonly (readonly (Value | null)[])[]): void
  digest(): SpineDigest
}

export function createSpineHash(spine: { readonly columns: readonly Column[] }): SpineHash {
  const hash = createHash('sha256')
  const writer = new ByteWriter(1 << 16)
  const codecs = spine.columns.map(({ name, type }) => {
    writer.string(name)
    return valueCodec(type)
  })
  hash.update(writer.view())
  const sum = { high: 0, low: 0 }
  return {
    update(length, columns) {
      writer.reset()
      const ends = new Array<number>(length)
      for (let row = 0; row < length; row++) {
        for (let c = 0; c < codecs.length; c++) codecs[c]?.write(writer, columns[c]?.[row] ?? null)
        ends[row] = writer.length
      }
      const bytes = writer.view()
      for (let row = 0; row < length; row++) {
        hashBytes(bytes, row === 0 ? 0 : (ends[row - 1] as number), ends[row] as number)
        sum.high = (sum.high + rowHash.high) >>> 0
        sum.low = (sum.low + rowHash.low) >>> 0
      }
      hash.update(bytes)
    },
    digest: () => ({
      sha256: hash.digest('hex'),
      rowsHash: [sum.high, sum.low].map((half) => half.toString(16).padStart(8, '0')).join(''),
    }),
  }
}
