import { maxKeyBytes } from '../kernel/values/entity-key.ts'
import { show } from '../kernel/values/value-type.ts'
import { UnfitValue } from './files/convert.ts'

/** A column of a file that goes into a column of a source's key. */
export interface KeyColumn {
  /** Its index among the columns of a batch. */
  readonly index: number
  /** PostgreSQL's name of the table column's type. */
  readonly type: string
}

/**
 * The error of a row whose key is too long, with the index of the column that makes it so; null where the key can be
 * stored.
 */
export type KeyLengthCheck = (
  columns: readonly ArrayLike<unknown>[],
  row: number,
) => { readonly index: number; readonly error: UnfitValue } | null

const textTypes: readonly string[] = ['text', 'varchar', 'bpchar', 'enum']
const maxUtf8BytesPerUnit = 3

/**
 * Measures the keys of a source as `keyBytes` does: text in UTF-8, anything else with a fixed width, which for a whole
 * number
 * is that of the widest. A part without a value counts for nothing.
 *
 * @returns null where no key can be too long, as none of its columns holds text
 */
export function keyLengthCheck(key: readonly KeyColumn[]): KeyLengthCheck | null {
  const texts = key.filter(({ type }) => textTypes.includes(type))
  if (texts.length === 0) return null
  const fixedBytes = key.filter((column) => !texts.includes(column)).reduce((sum, { type }) => sum + (type === 'bool' ? 1 : 8), 0)
  const indexes = texts.map(({ index }) => index)
  // what is this short is short enough in any script; the bytes of longer text are counted
  const safeUnits = Math.floor((maxKeyBytes - fixedBytes) / maxUtf8BytesPerUnit)

  return (columns, row) => {
    let units = 0
    for (let i = 0; i < indexes.length; i++) {
      const value = (columns[indexes[i] as number] as ArrayLike<unknown>)[row]
      if (typeof value === 'string') units += value.length
    }
    return units <= safeUnits ? null : measured(texts, fixedBytes, columns, row)
  }
}

function measured(
  texts: readonly KeyColumn[],
  fixedBytes: number,
  columns: readonly ArrayLike<unknown>[],
  row: number,
): ReturnType<KeyLengthCheck> {
  let bytes = fixedBytes
  let longest = { index: 0, bytes: -1, value: '' }
  for (const { index, type } of texts) {
    const value = columns[index]?.[row]
    if (typeof value !== 'string') continue
    const size = Buffer.byteLength(type === 'bpchar' ? unpadded(value) : value)
    bytes += size
    if (size > longest.bytes) longest = { index, bytes: size, value }
  }
  if (bytes <= maxKeyBytes) return null
  return {
    index: longest.index,
    error: new UnfitValue(
      `is ${show(longest.value)}, which makes the entity's key ${bytes} bytes long; at most ${maxKeyBytes} are allowed`,
    ),
  }
}

/** PostgreSQL takes the blanks at the end of a char(n) for no part of its text. */
function unpadded(value: string): string {
  let end = value.length
  while (end > 0 && value[end - 1] === ' ') end--
  return value.slice(0, end)
}
