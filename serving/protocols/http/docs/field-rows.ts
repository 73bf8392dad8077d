import { escapeHtml } from './escape-html.ts'

/** The parts of JSON Schema that zod writes and the page shows. */
interface Schema {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly additionalProperties?: Schema | boolean
  readonly minItems?: number
  readonly maxItems?: number
  readonly default?: unknown
}

/** The members of a JSON schema as rows of a table, those of the objects within it by their paths: `results[].features`. */
export function fieldRows(schema: Schema): string {
  const rows = rowsOf(schema, '')
  if (rows.length === 0) return `<p><code>${escapeHtml(typeOf(schema))}</code></p>`
  return `<table>${rows.join('')}</table>`
}

function rowsOf(schema: Schema, path: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`
    const needed = schema.required?.includes(name) === true
    const told = [field.description, field.default === undefined ? '' : `Default: ${JSON.stringify(field.default)}`].filter(Boolean)
    const row = `<tr><td><code>${escapeHtml(at)}</code>${needed ? '' : ' <span class="dim">optional</span>'}</td><td><code>${escapeHtml(typeOf(field))}</code></td><td class="dim">${escapeHtml(told.join('. '))}</td></tr>`
    return [row, ...rowsOf(field, at), ...(field.items === undefined ? [] : rowsOf(field.items, `${at}[]`))]
  })
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' | ')
  if (schema.type === 'array') return `${elementOf(schema.items)}[]${countOf(schema)}`
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object') return `{ name: ${typeOf(schema.additionalProperties)} }`
  return schema.type === undefined ? 'any' : [schema.type].flat().join(' | ')
}

function elementOf(items: Schema | undefined): string {
  const name = items === undefined ? 'any' : typeOf(items)
  return name.includes(' | ') ? `(${name})` : name
}

function countOf({ minItems, maxItems }: Schema): string {
  if (minItems === undefined && maxItems === undefined) return ''
  return ` (${minItems ?? 0} to ${maxItems?.toLocaleString('en') ?? 'any number'})`
}
