import type { ByteReader, ByteWriter } from '../kernel/values/binary.ts'
import type { Status, ViewValues } from '../kernel/states/state.ts'
import type { ValueCodec } from '../kernel/values/value-codec.ts'
import { valueCodec } from '../kernel/values/value-codec.ts'
import type { Value } from '../kernel/values/value-type.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'

/**
 * The answers of a view to the rows of a bucket, by index of the view's features. A row without an answer has that of
 * an unknown entity.
 */
export interface AnswerColumns {
  readonly features: number
  value(feature: number, row: number): Value | null
  status(feature: number, row: number): Status
  /** Copies the values of the rows [from, to) of a feature, to the index `at` and after. */
  copy(feature: number, from: number, to: number, values: (Value | null)[], at: number): void
}

/** The columns of a bucket, and how its answers are written until then. */
export interface Answers extends AnswerColumns {
  clear(): void
  write(writer: ByteWriter, values: ViewValues): void
  read(reader: ByteReader, row: number): void
}

export function createAnswers(plan: ViewPlan, rows: number): Answers {
  const numeric = plan.features.every(({ type }) => ['int32', 'float32', 'float64', 'timestamp'].includes(type.kind))
  return numeric ? new NumericAnswers(plan, rows) : new AnyAnswers(plan, rows)
}

const isNull = 0x80

/**
 * Where all values are doubles, an answer is a status byte and eight bytes for each feature, the highest bit of the
 * status saying null.
 */
class NumericAnswers implements Answers {
  readonly features: number
  readonly #values: readonly Float64Array[]
  readonly #statuses: readonly Uint8Array[]
  readonly #unknown: ViewValues

  constructor(plan: ViewPlan, rows: number) {
    this.features = plan.features.length
    this.#values = plan.features.map(() => new Float64Array(rows))
    this.#statuses = plan.features.map(() => new Uint8Array(rows))
    this.#unknown = plan.newState().valueAt(0)
  }

  clear(): void {
    for (let i = 0; i < this.features; i++) {
      const value = (this.#unknown.values[i] ?? null) as number | null
      this.#values[i]?.fill(value ?? 0)
      this.#statuses[i]?.fill((this.#unknown.statuses[i] as Status) | (value === null ? isNull : 0))
    }
  }

  write(writer: ByteWriter, { values, statuses }: ViewValues): void {
    let at = writer.skip(9 * this.features)
    const view = writer.memory
    for (let i = 0; i < this.features; i++) {
      const value = values[i] as number | null
      view.setUint8(at, (statuses[i] as Status) | (value === null ? isNull : 0))
      view.setFloat64(at + 1, value ?? 0)
      at += 9
    }
  }

  read(reader: ByteReader, row: number): void {
    let at = reader.skip(9 * this.features)
    const view = reader.memory
    for (let i = 0; i < this.features; i++) {
      ;(this.#statuses[i] as Uint8Array)[row] = view.getUint8(at)
      ;(this.#values[i] as Float64Array)[row] = view.getFloat64(at + 1)
      at += 9
    }
  }

  value(feature: number, row: number): number | null {
    const flags = this.#statuses[feature]?.[row] as number
    return flags >= isNull ? null : (this.#values[feature]?.[row] as number)
  }

  status(feature: number, row: number): Status {
    return ((this.#statuses[feature]?.[row] as number) & ~isNull) as Status
  }

  copy(feature: number, from: number, to: number, values: (Value | null)[], at: number): void {
    const [numbers, flags] = [this.#values[feature] as Float64Array, this.#statuses[feature] as Uint8Array]
    for (let row = from, target = at; row < to; row++, target++) {
      values[target] = (flags[row] as number) >= isNull ? null : (numbers[row] as number)
    }
  }
}

class AnyAnswers implements Answers {
  readonly features: number
  readonly #values: (Value | null)[][]
  readonly #statuses: Uint8Array[]
  readonly #codecs: readonly ValueCodec[]
  readonly #unknown: ViewValues

  constructor(plan: ViewPlan, rows: number) {
    this.features = plan.features.length
    this.#codecs = plan.features.map((feature) => valueCodec(feature.type))
    this.#unknown = plan.newState().valueAt(0)
    this.#values = plan.features.map(() => new Array<Value | null>(rows))
    this.#statuses = plan.features.map(() => new Uint8Array(rows))
  }

  clear(): void {
    for (let i = 0; i < this.features; i++) {
      this.#values[i]?.fill(this.#unknown.values[i] ?? null)
      this.#statuses[i]?.fill(this.#unknown.statuses[i] as Status)
    }
  }

  write(writer: ByteWriter, { values, statuses }: ViewValues): void {
    for (let i = 0; i < this.features; i++) {
      writer.byte(statuses[i] as Status)
      ;(this.#codecs[i] as ValueCodec).write(writer, values[i] ?? null)
    }
  }

  read(reader: ByteReader, row: number): void {
    for (let i = 0; i < this.features; i++) {
      ;(this.#statuses[i] as Uint8Array)[row] = reader.byte()
      ;(this.#values[i] as (Value | null)[])[row] = (this.#codecs[i] as ValueCodec).read(reader)
    }
  }

  value(feature: number, row: number): Value | null {
    return this.#values[feature]?.[row] ?? null
  }

  status(feature: number, row: number): Status {
    return this.#statuses[feature]?.[row] as Status
  }

  copy(feature: number, from: number, to: number, values: (Value | null)[], at: number): void {
    for (let row = from, target = at; row < to; row++, target++) values[target] = this.value(feature, row)
  }
}
