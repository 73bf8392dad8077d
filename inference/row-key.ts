import { hash } from 'node:crypto'
import type { Value } from '../kernel/values/value-type.ts'
import type { InputColumn, ModelBinding } from '../registry/models/model-binding.ts'
import type { FeatureRow } from './tensor-writer.ts'
import { valuesOf } from './tensor-writer.ts'

/** Characters of six bits: 132 bits in total. */
const keyLength = 22

/**
 * Compiles the cache key of a model's input row: 132 bits of SHA-256 over the version and each value. Features that no
 * input uses are not part of the key, because no prediction depends on them.
 *
 * @param version also part of the key: `delay@3`
 */
export function createRowKey({ inputs }: Pick<ModelBinding, 'inputs'>, version: string): (row: FeatureRow) => string {
  const columns = [...new Map(inputs.flatMap((input) => input.columns.map((column) => [column.feature, column] as const))).values()]
  const fixed = columns.reduce((sum, column) => sum + 1 + bytesOf(column), 0)
  const prefix = Buffer.from(`${version}\0`)
  let bytes = Buffer.alloc(prefix.length + fixed + 256)
  bytes.set(prefix)

  return (row) => {
    const values = valuesOf(row)
    let at = prefix.length
    for (const column of columns) {
      const value = values[column.feature] ?? null
      if (value === null) {
        bytes[at++] = 0
        continue
      }
      if (typeof value === 'string') {
        const length = Buffer.byteLength(value)
        ensure(at + 5 + length + fixed)
        bytes[at] = 1
        bytes.writeUInt32LE(length, at + 1)
        at += 5 + bytes.write(value, at + 5)
        continue
      }
      bytes[at] = 1
      at = writeNumbers(value, at + 1)
    }
    return hash('sha256', bytes.subarray(0, at), 'base64url').slice(0, keyLength)
  }

  function writeNumbers(value: Exclude<Value, string>, at: number): number {
    if (typeof value === 'number') return bytes.writeDoubleLE(value, at)
    if (typeof value === 'bigint') return bytes.writeBigInt64LE(value, at)
    if (typeof value === 'boolean') return bytes.writeUInt8(value ? 1 : 0, at)
    const floats = value as Float32Array
    for (let i = 0; i < floats.length; i++) bytes.writeFloatLE(floats[i] ?? 0, at + 4 * i)
    return at + 4 * floats.length
  }

  function ensure(length: number): void {
    if (length > bytes.length) bytes = Buffer.concat([bytes], 2 * length)
  }
}

/** The size of a value that is not a string. Lists and counts cannot be model inputs. */
function bytesOf({ type }: InputColumn): number {
  return type.kind === 'vector' ? 4 * type.length : 8
}
