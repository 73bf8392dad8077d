import { readFile } from 'node:fs/promises'

/** JSON whose integers are exact: those outside +-2^53 are bigint. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | { readonly [name: string]: Json }

/** Reads JSON without rounding its integers. */
export function parseExact(text: string): Json {
  return JSON.parse(text, (_name, value: Json, context?: { readonly source?: string }) =>
    typeof value === 'number' && /^-?\d+$/.test(context?.source ?? '') ? exact(BigInt(context?.source ?? '')) : value,
  ) as Json
}

/** One JSON value a line. */
export async function readJsonLines<T extends Json>(path: string): Promise<T[]> {
  const lines = (await readFile(path, 'utf8')).split('\n')
  return lines.filter((line) => line.trim() !== '').map((line) => parseExact(line) as T)
}

/** An integer as the number or bigint that `parseExact` makes of it. */
export function exact(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
}

/**
 * One line of text that distinguishes every value from every other, also -0 from 0. The members of an object keep their
 * order.
 */
export function exactText(value: Json): string {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(exactText).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([name, member]) => `${JSON.stringify(name)}: ${exactText(member)}`)
      .join(', ')}}`
  }
  return JSON.stringify(value)
}
