import { html } from 'hono/html'

type Html = ReturnType<typeof html>

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

/** The members of a JSON schema as rows of a table. Nested ones have their path: `results[].features`. */
export function fieldRows(schema: Schema): Html {
  const rows = rowsOf(schema, '')
  return rows.length === 0
    ? html`<p><code>${typeOf(schema)}</code></p>`
    : html`<table>
        ${rows}
      </table>`
}

/** A text with its parts in backticks as code. */
export function codeText(text: string): (string | Html)[] {
  return text.split('`').map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : part))
}

function rowsOf(schema: Schema, path: string): Html[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`
    const optional = schema.required?.includes(name) !== true && html` <span class="dim">optional</span>`
    const notes = [field.description, field.default === undefined ? '' : `Default: ${JSON.stringify(field.default)}`].filter(Boolean)
    const row = html`<tr>
      <td><code>${at}</code>${optional}</td>
      <td><code>${typeOf(field)}</code></td>
      <td class="dim">${codeText(notes.join('. '))}</td>
    </tr>`
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
