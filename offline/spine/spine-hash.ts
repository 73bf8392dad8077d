import { createHash } from 'node:crypto'
import { ByteWriter } from '../../kernel/binary.ts'
import { valueCodec } from '../../kernel/value-codec.ts'
import type { Value } from '../../kernel/value-type.ts'
import type { Spine } from './spine.ts'

/** SHA-256 over the names of a spine's columns and the typed values of its rows, in order, whatever file or query they came from. */
export interface SpineHash {
  /** @param columns consecutive rows, by index of `spine.columns` */
  update(length: number, columns: readonly (readonly (Value | null)[])[]): void
  /** Hex. */
  digest(): string
}

export function createSpineHash(spine: Spine): SpineHash {
  const hash = createHash('sha256')
  const writer = new ByteWriter(1 << 16)
  const codecs = spine.columns.map(({ name, type }) => {
    writer.string(name)
    return valueCodec(type)
  })
  hash.update(writer.view())
  return {
    update(length, columns) {
      writer.reset()
      for (let row = 0; row < length; row++) {
        for (let c = 0; c < codecs.length; c++) codecs[c]?.write(writer, columns[c]?.[row] ?? null)
      }
      hash.update(writer.view())
    },
    digest: () => hash.digest('hex'),
  }
}
