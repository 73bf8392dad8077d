import { isRecord } from '../../kernel/is-record.ts'
import { plainText } from '../../kernel/values/plain-text.ts'

/** How many items of a list are shown. */
const maxItems = 10

/** The evidence of an alert in indented lines: a name and its value, without control characters. */
export function evidenceLines(evidence: unknown): string[] {
  return isRecord(evidence) ? membersOf(evidence, '  ') : factLines('fact', evidence, '  ')
}

function membersOf(record: Readonly<Record<string, unknown>>, indent: string): string[] {
  return Object.entries(record).flatMap(([name, value]) => factLines(name, value, indent))
}

/** A line for a fact, or for each of its parts that have parts themselves. What is null or empty has none. */
function factLines(name: string, value: unknown, indent: string): string[] {
  if (isEmpty(value)) return []
  const flat = flatText(value)
  if (flat !== null) return [`${indent}${plainText(`${name}: ${flat}`)}`]
  const inner = `${indent}  `
  if (!Array.isArray(value)) return [`${indent}${plainText(name)}:`, ...membersOf(value as Record<string, unknown>, inner)]
  const items = value.slice(0, maxItems).flatMap((item, i) => {
    const text = flatText(item)
    return text === null ? factLines(String(i + 1), item, inner) : [`${inner}${plainText(text)}`]
  })
  const left = value.length - maxItems
  return [`${indent}${plainText(name)}:`, ...items, ...(left > 0 ? [`${inner}and ${left} more, which "alert show --json" shows`] : [])]
}

/** The text of a value whose parts have no parts; null: it needs lines of its own. */
function flatText(value: unknown): string | null {
  if (Array.isArray(value)) return value.length <= maxItems && value.every(isScalar) ? value.map(scalarText).join(', ') : null
  if (!isRecord(value)) return scalarText(value)
  const parts = Object.entries(value).filter(([, part]) => !isEmpty(part))
  return parts.every(([, part]) => isScalar(part)) ? parts.map(([name, part]) => `${name} ${scalarText(part)}`).join(', ') : null
}

function isScalar(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === 'object' && Object.values(value).every(isEmpty))
}

function scalarText(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return typeof value === 'number' ? String(short(value)) : String(value)
}

/** Four significant digits; integers as they are. */
export function short(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4))
}
