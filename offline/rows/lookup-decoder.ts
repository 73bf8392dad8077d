import type { Column, KeyType } from '../../kernel/values/value-type.ts'
import type { TupleBatch } from '../../runtime/postgres/database.ts'
import type { Lookup } from '../lookup.ts'
import { keyReader } from './tuple-key.ts'
import { microsAt, safeInt64At } from './tuple-values.ts'

/** Decodes the tuples of `lookupsSelect`: key parts, time, ordinal (from 1), mapping. */
export function createLookupDecoder(key: readonly Column<KeyType>[]): (batch: TupleBatch) => Lookup[] {
  const keys = keyReader(key, 'the spine')
  return ({ bytes, starts }) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const lookups = new Array<Lookup>(starts.length)
    for (let i = 0; i < starts.length; i++) {
      const entity = keys.read(bytes, view, (starts[i] as number) + 2)
      const at = keys.end()
      lookups[i] = { key: entity, time: microsAt(view, at + 4), ordinal: safeInt64At(view, at + 16) - 1, mapping: view.getInt32(at + 28) }
    }
    return lookups
  }
}
