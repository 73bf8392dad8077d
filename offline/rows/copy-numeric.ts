import type { CopyBuffer } from './copy-buffer.ts'
import { UnfitValue } from '../files/convert.ts'

const decimal = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?$/

/**
 * Writes a decimal number as PostgreSQL's `numeric` in binary: digits in base 10,000, exactly as many as the text has.
 */
export function writeNumeric(out: CopyBuffer, text: string): void {
  if (text === 'NaN') return header(out, 0, 0, 0xc000, 0)
  const parts = decimal.exec(text)
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = parts ?? []
  if (parts === null || whole + fraction === '') throw new UnfitValue(`is "${text}", which is not a decimal number`)

  // the point's place in the digits, which then get zeros in front and behind until they fall into fours
  const shift = Number(exponent)
  let digits = whole + fraction
  let point = whole.length + shift
  const scale = Math.max(0, fraction.length - shift)
  if (point < 0) digits = '0'.repeat(-point) + digits
  if (point > digits.length) digits += '0'.repeat(point - digits.length)
  point = Math.max(0, point)
  const front = (4 - (point % 4)) % 4
  digits = '0'.repeat(front) + digits
  digits += '0'.repeat((4 - (digits.length % 4)) % 4)
  const groups: number[] = []
  for (let i = 0; i < digits.length; i += 4) groups.push(Number(digits.slice(i, i + 4)))
  let weight = (point + front) / 4 - 1
  while (groups[0] === 0) {
    groups.shift()
    weight--
  }
  while (groups.at(-1) === 0) groups.pop()
  if (groups.length > 32_767 || scale > 16_383 || weight > 32_767)
    throw new UnfitValue(`is "${text}", which is outside the range of numeric`)
  header(out, groups.length, groups.length === 0 ? 0 : weight, sign === '-' && groups.length > 0 ? 0x4000 : 0, scale)
  for (const group of groups) out.int16(group)
}

function header(out: CopyBuffer, digits: number, weight: number, sign: number, scale: number): void {
  out.int32(8 + digits * 2)
  out.int16(digits)
  out.int16(weight)
  out.int16(sign)
  out.int16(scale)
}
