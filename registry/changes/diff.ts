import { cutText } from '../../kernel/values/cut-text.ts'
import { formatDuration } from '../../kernel/values/duration.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'

/** Numbers of microseconds that are moments, not durations. */
const moment = /(^|\.)fromMicros$/

/** One field that is not what it was. */
export interface DefinitionDifference {
  /** `features.meanDelay6h.window` */
  readonly path: string
  /** The printed value; null if the field is absent. */
  readonly was: string | null
  readonly now: string | null
}

/** Compares two JSON values field by field. Arrays of named items are compared by name, then by order. */
export function diff(was: unknown, now: unknown, path = ''): DefinitionDifference[] {
  if (JSON.stringify(was) === JSON.stringify(now)) return []
  const [before, after] = [fieldsOf(was), fieldsOf(now)]
  if (before === null || after === null || Array.isArray(was) !== Array.isArray(now))
    return [{ path: path.replace(/Micros$/, ''), was: print(was, path), now: print(now, path) }]
  const found = [...new Set([...before.keys(), ...after.keys()])].flatMap((name) =>
    diff(before.get(name), after.get(name), path === '' ? name : `${path}.${name}`),
  )
  const [orderBefore, orderAfter] = [[...before.keys()].join(', '), [...after.keys()].join(', ')]
  if (found.length > 0 || !Array.isArray(now) || orderBefore === orderAfter) return found
  return [{ path: `${path} (order)`, was: orderBefore, now: orderAfter }]
}

/** Excerpts of both texts around their first difference. */
export function codeDifference(was: string, now: string): DefinitionDifference {
  let start = 0
  while (start < was.length && start < now.length && was[start] === now[start]) start++
  let end = 0
  while (end < was.length - start && end < now.length - start && was.at(-1 - end) === now.at(-1 - end)) end++
  const from = Math.max(0, start - 24)
  const cut = (text: string): string => {
    const to = Math.min(text.length, text.length - end + 24, from + 120)
    return `${from > 0 ? '…' : ''}${text.slice(from, to)}${to < text.length ? '…' : ''}`
  }
  return { path: 'transform', was: cut(was), now: cut(now) }
}

/** `features.x.window was 6h, now 12h` */
export function differenceText({ path, was, now }: DefinitionDifference): string {
  if (was === null) return `${path} is new (${now})`
  if (now === null) return `${path} was removed (it was ${was})`
  return `${path} was ${was}, now ${now}`
}

function fieldsOf(value: unknown): Map<string, unknown> | null {
  if (typeof value !== 'object' || value === null) return null
  if (!Array.isArray(value)) return new Map(Object.entries(value))
  const named = new Map(value.map((item: unknown, i) => [nameOf(item) ?? `[${i}]`, item]))
  return named.size === value.length ? named : new Map(value.map((item: unknown, i) => [`[${i}]`, item]))
}

/**
 * The identifier of an item in a spec's array: its name or key part, the view of a service's member (without the
 * version, so that another version is a change), or the string itself.
 */
function nameOf(item: unknown): string | null {
  if (typeof item !== 'object' || item === null) return typeof item === 'string' ? item : null
  const { name, part, alias, view, use } = Object.fromEntries(Object.entries(item))
  for (const value of [name, part, alias]) if (typeof value === 'string') return value
  if (typeof view === 'string') return view.split('@')[0] ?? null
  return use === undefined ? null : nameOf(use)
}

function print(value: unknown, path: string): string | null {
  if (value === undefined) return null
  const text = typeof value === 'object' && value !== null ? readable(value, path) : scalar(value, path)
  return cutText(text, 160)
}

function scalar(value: unknown, path: string): string {
  if (typeof value !== 'number' || !path.endsWith('Micros')) return JSON.stringify(value)
  return moment.test(path) ? formatTimestamp(value) : formatDuration(value)
}

/** Readable text for data: `kind window, aggregate count, window 1h`. Nulls are left out. */
function readable(value: object, path = ''): string {
  const part = (each: unknown, of: string): string => {
    if (typeof each === 'string') return each
    if (typeof each !== 'object' || each === null) return scalar(each, of)
    const [[name, only] = [], ...more] = Object.entries(each)
    // a type without a length
    return name === 'kind' && typeof only === 'string' && more.length === 0 ? only : `(${readable(each)})`
  }
  if (Array.isArray(value)) return value.map((each: unknown) => part(each, '')).join(', ')
  return Object.entries(value)
    .filter(([name, each]) => each !== null && !(name === 'name' && typeof each === 'string' && path.endsWith(`.${each}`)))
    .map(([name, each]) => `${name.replace(/Micros$/, '')} ${part(each, name)}`)
    .join(', ')
}
