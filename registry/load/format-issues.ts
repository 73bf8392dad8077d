import { cutText } from '../../kernel/values/cut-text.ts'
import type { z } from 'zod'
import { shown } from '../../kernel/values/parse-value.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'

/** The faults of a body or a query, for people and for programs. */
export interface SaidIssues {
  /** Sentences without the last full stop, with semicolons between them. */
  readonly said: string
  readonly issues: readonly { readonly field: string; readonly problem: string }[]
}

type Issue = z.core.$ZodIssue

/** So many are named: once these are mended, the next ones show. */
const maxIssues = 10
const maxShown = 80

/**
 * Says what a schema refused in the words of users, in place of zod's: which field, what was sent, and what it
 * must be.
 *
 * @param schema what the value was checked by, for what its fields are
 * @param sent the value
 */
export function sayIssues(error: z.ZodError, schema: z.ZodType, sent: unknown): SaidIssues {
  const all = groupUnknown(error.issues)
  const issues = all.slice(0, maxIssues).map(({ issue, others }) => ({
    field: cut(issue.path.join('.')),
    problem: `${problemOf(issue, sent, schema)}${alsoIn(others)}`,
  }))
  const said = issues.map(({ field, problem }) => (field === '' ? problem.replace(/^is /, 'it is ') : `"${field}" ${problem}`))
  if (all.length > maxIssues) said.push(`and ${all.length - maxIssues} more`)
  return { said: said.join('; '), issues }
}

interface IssueGroup {
  readonly issue: Issue
  /** The paths of the other elements of arrays that have the same unknown fields. */
  readonly others: string[]
}

/** An unknown field that many elements of an array have is one issue; any other issue stands alone. */
function groupUnknown(all: readonly Issue[]): IssueGroup[] {
  const unknown = new Map<string, IssueGroup>()
  const groups: IssueGroup[] = []
  for (const issue of all) {
    const place = issue.path.map((part) => (typeof part === 'number' ? null : part))
    const key = issue.code === 'unrecognized_keys' && place.includes(null) ? JSON.stringify([place, issue.keys]) : null
    const known = key === null ? undefined : unknown.get(key)
    if (known !== undefined) {
      known.others.push(issue.path.join('.'))
      continue
    }
    const group: IssueGroup = { issue, others: [] }
    groups.push(group)
    if (key !== null) unknown.set(key, group)
  }
  return groups
}

function alsoIn(others: readonly string[]): string {
  const [first = '', last = ''] = [others[0], others.at(-1)]
  if (others.length === 0) return ''
  return others.length === 1 ? ` (also in "${cut(first)}")` : ` (also in ${others.length} others, from "${cut(first)}" to "${cut(last)}")`
}

function problemOf(issue: Issue, sent: unknown, schema: z.ZodType): string {
  const value = at(sent, issue.path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return unknownFields(issue, sent, schema)
    case 'invalid_type':
      return mustBe(value, kindOf(issue.expected), schemaAt(schema, issue.path, sent)?.description)
    case 'invalid_value':
      return mustBeOneOf(value, issue.values)
    case 'invalid_union': {
      const { options } = issue as { readonly options?: unknown }
      if (Array.isArray(options)) return mustBeOneOf(value, options)
      if (issue.message !== 'Invalid input') return value === undefined ? `is missing; it ${issue.message}` : issue.message
      const inner = issue.errors.map(([first]) => first)
      const kinds = inner.map((first) => (first?.code === 'invalid_type' && first.path.length === 0 ? kindOf(first.expected) : null))
      const own = inner.find((_, i) => kinds[i] === null)
      // the branch that is of the right kind, if any
      if (own !== undefined) return problemOf(own, value, schema)
      return mustBe(value, [...new Set(kinds)].join(' or '), schemaAt(schema, issue.path, sent)?.description)
    }
    case 'too_small':
    case 'too_big':
      return outOfBounds(issue, value)
    default:
      return issue.message
  }
}

function unknownFields({ keys, path }: Issue & { readonly code: 'unrecognized_keys' }, sent: unknown, schema: z.ZodType): string {
  const [first = ''] = keys
  const known = Object.keys(shapeOf(schemaAt(schema, path, sent)) ?? {})
  const others = keys.length === 1 ? '' : ` (and ${keys.length - 1} more)`
  const within = path.length === 0 ? '' : 'has the field '
  return `${within}"${cut(first)}"${within === '' ? ' is' : ', which is'} not a field here${others}.${didYouMean(cut(first), known)} The fields are ${quotedNames(known)}`
}

function mustBe(value: unknown, what: string, description?: string): string {
  const more = description === undefined ? '' : ` (${description})`
  return value === undefined ? `is missing: ${what}${more}` : `is ${summary(value)}; it must be ${what}${more}`
}

function mustBeOneOf(value: unknown, values: readonly unknown[]): string {
  const all = `one of ${values.map((each) => JSON.stringify(each)).join(', ')}`
  const texts = values.filter((each) => typeof each === 'string')
  const hint = typeof value === 'string' ? didYouMean(cut(value), texts) : ''
  return hint === '' ? mustBe(value, all) : `is ${summary(value)}.${hint} It must be ${all}`
}

function outOfBounds(issue: Issue & { readonly code: 'too_small' | 'too_big' }, value: unknown): string {
  const bound = Number(issue.code === 'too_small' ? issue.minimum : issue.maximum)
  const [least, most] = issue.inclusive === false ? ['more than', 'less than'] : ['at least', 'at most']
  const limit = `${issue.code === 'too_small' ? least : most} ${bound.toLocaleString('en')}`
  if (Array.isArray(value))
    return value.length === 0 ? `is empty; send ${limit}` : `has ${value.length.toLocaleString('en')} elements; send ${limit}`
  // a number in a URL is text too
  if (typeof value === 'string' && issue.origin === 'string')
    return value === '' ? 'is empty' : `has ${value.length.toLocaleString('en')} characters; send ${limit}`
  return `is ${summary(value)}; it must be ${limit}`
}

/** What was sent, briefly: an array or an object may hold anything. */
function summary(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `an array of ${value.length.toLocaleString('en')}`
  if (typeof value === 'object') return 'an object'
  return cut(shown(value))
}

/** The word that people use for zod's. */
function kindOf(expected: string): string {
  switch (expected) {
    case 'array':
      return 'an array'
    case 'object':
    case 'record':
      return 'an object'
    case 'string':
      return 'a string'
    case 'number':
      return 'a number'
    case 'int':
      return 'a whole number'
    case 'boolean':
      return 'true or false'
    case 'nonoptional':
      return 'a value'
    default:
      return expected
  }
}

function cut(text: string): string {
  return cutText(text, maxShown).toWellFormed()
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let inner = value
  for (const key of path) {
    if (typeof inner !== 'object' || inner === null || !Object.hasOwn(inner, key)) return undefined
    inner = (inner as Readonly<Record<PropertyKey, unknown>>)[key]
  }
  return inner
}

/** The parts of zod's definitions that lead to another schema. */
interface Parts {
  readonly options?: readonly z.ZodType[]
  readonly discriminator?: string
  readonly values?: readonly unknown[]
  readonly innerType?: z.ZodType
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly element?: z.ZodType
  readonly valueType?: z.ZodType
}

function partsOf(schema: z.ZodType): Parts {
  return schema.def as Parts
}

/** The schema of a field; undefined where a union leaves it open. */
function schemaAt(schema: z.ZodType, path: readonly PropertyKey[], sent: unknown): z.ZodType | undefined {
  return path.reduce<z.ZodType | undefined>(
    (outer, key, i) => {
      const parts = outer === undefined ? {} : partsOf(unwrapped(outer))
      const inner = parts.shape?.[String(key)] ?? parts.element ?? parts.valueType
      return inner === undefined ? undefined : chosen(inner, at(sent, path.slice(0, i + 1)))
    },
    chosen(schema, sent),
  )
}

/** The option of a union that the discriminator of a value names; other schemas as they are. */
function chosen(schema: z.ZodType, sent: unknown): z.ZodType {
  const { options, discriminator } = partsOf(unwrapped(schema))
  if (options === undefined || discriminator === undefined) return schema
  const named = at(sent, [discriminator])
  const isNamed = (option: z.ZodType): boolean => {
    const kind = partsOf(option).shape?.[discriminator]
    return kind !== undefined && (partsOf(kind).values?.includes(named) ?? false)
  }
  return options.find(isNamed) ?? schema
}

function shapeOf(schema: z.ZodType | undefined): Parts['shape'] {
  return schema === undefined ? undefined : partsOf(unwrapped(schema)).shape
}

/** Without what makes it optional or gives it a default. */
function unwrapped(schema: z.ZodType): z.ZodType {
  const { innerType } = partsOf(schema)
  return innerType === undefined ? schema : unwrapped(innerType)
}
