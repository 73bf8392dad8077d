import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { valueBytes } from '../states/greatest-bytes.ts'
import type { FoldRow } from '../states/state.ts'
import type { ValueCodec } from '../values/value-codec.ts'
import { valueCodec } from '../values/value-codec.ts'
import type { ColumnType } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/** The least or the greatest non-null value; NaN if one is NaN (as in NumPy). Null if there are none. */
export function extreme(which: 'min' | 'max', slot: number, type: ColumnType): Aggregate<ExtremeAccumulator> {
  const codec = valueCodec(type)
  const sign = which === 'min' ? -1 : 1
  return {
    lane: `${which}:${slot}`,
    create: () => new ExtremeAccumulator(slot, sign, codec),
    decode: (reader: ByteReader) => {
      const accumulator = new ExtremeAccumulator(slot, sign, codec)
      accumulator.offer(codec.read(reader) as number | bigint | null)
      return accumulator
    },
    value: ({ best }) => best,
    greatestBytes: () => valueBytes(type),
  }
}

class ExtremeAccumulator implements Accumulator {
  best: number | bigint | null = null
  readonly #slot: number
  readonly #sign: 1 | -1
  readonly #codec: ValueCodec

  constructor(slot: number, sign: 1 | -1, codec: ValueCodec) {
    this.#slot = slot
    this.#sign = sign
    this.#codec = codec
  }

  offer(value: number | bigint | null): void {
    if (value === null) return
    const { best } = this
    if (best === null || value !== value || (this.#sign === 1 ? value > best : value < best)) this.best = value
  }

  add(row: FoldRow): void {
    this.offer(row.values[this.#slot] as number | bigint | null)
  }

  merge(other: ExtremeAccumulator): void {
    this.offer(other.best)
  }

  /** Another accumulator can be removed only if it never held the best value. */
  remove(other: ExtremeAccumulator): boolean {
    if (other.best === null) return true
    const { best } = this
    return best !== null && (this.#sign === 1 ? other.best < best : other.best > best)
  }

  encode(writer: ByteWriter): void {
    this.#codec.write(writer, this.best)
  }
}
