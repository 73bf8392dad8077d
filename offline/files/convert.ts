import { LockstepError } from '../../kernel/errors.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { FileColumn } from './tabular-file.ts'

/**
 * Thrown for a value that its column cannot take. The message continues after the column's name: `is "x", which is not
 * a number`.
 */
export class UnfitValue extends Error {}

/** Adds the place to the error of a value that does not fit; other errors pass unchanged. */
export function inRow(error: unknown, path: string, row: number, column: string): unknown {
  if (!(error instanceof UnfitValue)) return error
  return new LockstepError('INVALID_ROW', `Row ${row} of "${path}": column "${column}" ${error.message}; correct the row.`, {
    details: { path, row, column },
  })
}

const whole = /^[+-]?\d+$/
const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const infinity = /^([+-]?)inf(?:inity)?$/i

export function toBool(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  if (value === 0 || value === 1) return value === 1
  if (typeof value === 'string') {
    const text = value.trim().toLowerCase()
    if (text === 'true' || text === 't' || text === '1') return true
    if (text === 'false' || text === 'f' || text === '0') return false
  }
  throw unfit(value, 'true or false')
}

/** A whole number of any size; a bigint above 2^53. */
export function toInteger(value: unknown, column: FileColumn): number | bigint {
  if (typeof value === 'number') {
    if (column.type?.kind === 'timestamp') throw unfit(value, 'a whole number but a time')
    if (Number.isSafeInteger(value)) return value
    // JSON gives whole numbers beyond 2^53 as bigint, so this one had a fraction
    if (Number.isInteger(value) && !column.described.startsWith('JSON')) return BigInt(value)
  } else if (typeof value === 'bigint') {
    return value
  } else if (typeof value === 'string' && whole.test(value.trim())) {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : BigInt(value.trim().replace(/^\+/, ''))
  } else if (typeof value === 'string' && decimal.test(value.trim())) {
    // data frames write integers like this in columns with gaps: 3.0
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
  }
  throw unfit(value, 'a whole number')
}

/** @returns the integer itself, checked to fit into the given number of bytes */
export function inInteger(value: number | bigint, bytes: 2 | 4 | 8): number | bigint {
  if (bytes === 8) {
    if (typeof value === 'number' || BigInt.asIntN(64, value) === value) return value
  } else {
    const limit = bytes === 4 ? 2 ** 31 : 2 ** 15
    if (value >= -limit && value < limit) return value
  }
  throw new UnfitValue(`is ${value}, which is outside the range of a ${bytes * 8}-bit integer`)
}

export function toFloat(value: unknown, column: FileColumn): number {
  if (typeof value === 'number') {
    if (column.type?.kind === 'timestamp') throw unfit(value, 'a number but a time')
    return value
  }
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'string') {
    const text = value.trim()
    if (decimal.test(text)) {
      const number = Number(text)
      if (Number.isFinite(number)) return number
      throw new UnfitValue(`is ${show(value)}, which is outside the range of a float64`)
    }
    if (text.toLowerCase() === 'nan') return Number.NaN
    const sign = infinity.exec(text)
    if (sign !== null) return sign[1] === '-' ? -Infinity : Infinity
  }
  throw unfit(value, 'a number')
}

/** A decimal as text, if a float64 holds it to the last digit: the float64 prints as the same decimal again. */
export function toExactFloat(value: unknown, column: FileColumn): number {
  const number = toFloat(value, column)
  const text = typeof value === 'string' ? value.trim() : String(value)
  if (!Number.isFinite(number) || canonicalDecimal(String(number)) === canonicalDecimal(text)) return number
  throw new UnfitValue(`is ${text}, which has more digits than a float64 holds`)
}

/** The digits of a decimal without zeros at either end, and the power of ten that multiplies them. */
function canonicalDecimal(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const significant = digits.replace(/0+$/, '')
  if (significant === '') return '0'
  return `${sign === '-' ? '-' : ''}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`
}

/** Rounds to float32; a finite number must stay finite. */
export function inFloat32(value: number): number {
  const rounded = Math.fround(value)
  if (Number.isFinite(value) && !Number.isFinite(rounded)) throw new UnfitValue(`is ${value}, which is outside the range of a float32`)
  return rounded
}

export function toText(value: unknown): string {
  if (typeof value !== 'string') throw unfit(value, 'text')
  if (value.includes('\0')) throw unfit(value, 'text that can be stored: it contains a zero byte')
  if (!value.isWellFormed()) throw unfit(value, 'well-formed Unicode')
  return value
}

/**
 * Epoch microseconds. A bare number is a time only in a column that the file itself declares as times, because its unit
 * is not guessed.
 */
export function toMicros(value: unknown, column: FileColumn): number {
  if (typeof value === 'number' || typeof value === 'bigint') {
    if (column.type?.kind !== 'timestamp') throw unfit(value, 'a time; write times as 2001-07-01T00:00:00Z or as a Parquet timestamp')
    if (Number.isSafeInteger(value)) return Number(value)
    throw new UnfitValue(`is ${value} microseconds, which is outside +-2^53 (about the years 1684 to 2255)`)
  }
  if (typeof value !== 'string') throw unfit(value, 'a time')
  try {
    return parseTimestamp(value)
  } catch {
    throw unfit(value, 'a time within the years 1684 to 2255, as in 2001-07-01T00:00:00Z')
  }
}

/**
 * An array of numbers, or for CSV text: a JSON array, or braces as PostgreSQL prints it. NaN and the infinities are
 * written by name.
 *
 * @param fit checks each number, and rounds it where the column is narrower
 */
export function toNumbers(value: unknown, column: FileColumn, fit: (number: number) => number): number[] {
  const elements = typeof value === 'string' ? elementsOf(value) : value
  if (!Array.isArray(elements)) throw unfit(value, 'an array of numbers')
  const numbers = new Array<number>(elements.length)
  for (let i = 0; i < elements.length; i++) {
    try {
      numbers[i] = fit(toFloat(elements[i], column))
    } catch (error) {
      throw error instanceof UnfitValue ? new UnfitValue(`has an element ${i + 1} that ${error.message}`) : error
    }
  }
  return numbers
}

function elementsOf(text: string): string[] | null {
  const inner = /^\s*(?:\[(.*)\]|\{(.*)\})\s*$/s.exec(text)
  const list = inner?.[1] ?? inner?.[2]
  if (list === undefined) return null
  return list.trim() === '' ? [] : list.split(',')
}

function unfit(value: unknown, wanted: string): UnfitValue {
  return new UnfitValue(`is ${show(value)}, which is not ${wanted}`)
}
