import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord } from '../../kernel/is-record.ts'
import { routes } from '../../serving/protocols/http/routes.ts'
import { rootFolder } from '../source-files.ts'

/** The description of a command's document in docs/json.md. */
interface DescribedDocument {
  readonly command: string
  /** The faults of a document; empty: it is as described. */
  problems(document: unknown): string[]
}

/** `{ a, b?, c: [{ d }], … }` */
type Shape =
  | { readonly kind: 'unchecked' }
  | { readonly kind: 'list'; readonly of: Shape }
  | { readonly kind: 'object'; readonly fields: ReadonlyMap<string, Field>; readonly open: boolean }
interface Field {
  readonly shape: Shape
  readonly optional: boolean
}

/** The rows of the page: the commands of the first column, each with its description. */
export function describedDocuments(): DescribedDocument[] {
  const page = readFileSync(join(rootFolder, 'docs/json.md'), 'utf8')
  return [...page.matchAll(/^\| (`.*`) \| (.*) \|$/gm)].flatMap(([, names = '', text = '']) => {
    const problems = checkerOf(text)
    return [...names.matchAll(/`([a-z -]+)`/g)].map(([, command = '']) => ({ command, problems }))
  })
}

function checkerOf(text: string): (document: unknown) => string[] {
  if (text.startsWith('none: ')) return () => ['it prints no document']
  const [, list, method, path] = /^(?:an element of `(\w+)` of )?`([A-Z]+) (\/v1\/[^`]*)`/.exec(text) ?? []
  const fields = /`(\{[^`]*\})`/.exec(text)?.[1]
  const shape = fields === undefined ? null : parseShape(fields)
  const answers = method === undefined ? null : answerOf(`${method} ${path}`)
  if (shape === null && answers === null) throw new Error(`docs/json.md describes a document by neither fields nor a request: ${text}`)
  return (document) => {
    const answer = list === undefined ? document : { [list]: [document] }
    return [
      ...(answers === null ? [] : answers(isRecord(answer) ? { ...answer, requestId: 'one' } : answer)),
      ...(shape === null ? [] : mismatches(answers === null ? shape : opened(shape), document, '')),
    ]
  }
}

/** The faults of a request's answer, by the schema of its route. */
function answerOf(request: string): (answer: unknown) => string[] {
  const route = routes.find(
    (each) => `${each.method} ${each.path.replaceAll(/:(\w+)/g, (_, name: string) => name.toUpperCase())}` === request,
  )
  if (route?.answer === undefined) throw new Error(`docs/json.md names "${request}", which is no request with a described answer.`)
  const { answer } = route
  return (value) => answer.safeParse(value).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? []
}

function opened(shape: Shape): Shape {
  return shape.kind === 'object' ? { ...shape, open: true } : shape
}

/** Any value may be null. */
function mismatches(shape: Shape, value: unknown, at: string): string[] {
  if (value === null || shape.kind === 'unchecked') return []
  if (shape.kind === 'list') {
    return Array.isArray(value) ? value.flatMap((each) => mismatches(shape.of, each, `${at}[]`)) : [`${at} is no list`]
  }
  if (!isRecord(value)) return [`${at} is no object`]
  const { fields, open } = shape
  return [
    ...[...fields].flatMap(([name, { shape: inner, optional }]) => {
      if (name in value) return mismatches(inner, value[name], `${at}.${name}`)
      return optional ? [] : [`${at}.${name} is missing`]
    }),
    ...(open ? [] : Object.keys(value).flatMap((name) => (fields.has(name) ? [] : [`${at}.${name} is not described`]))),
  ]
}

function parseShape(text: string): Shape {
  const tokens = text.match(/\w+|[{}[\],:?…]/g) ?? []
  let at = 0
  const next = (): string => tokens[at++] ?? ''
  function parse(): Shape {
    const token = next()
    if (token === '[') {
      const of: Shape = tokens[at] === ']' ? { kind: 'unchecked' } : parse()
      expectToken(']')
      return { kind: 'list', of }
    }
    if (token !== '{') throw new Error(`docs/json.md has "${token}" where fields begin: ${text}`)
    const fields = new Map<string, Field>()
    let open = false
    for (let name = next(); name !== '}'; name = next()) {
      if (name === '…') open = true
      else if (/^\w+$/.test(name)) {
        const optional = tokens[at] === '?'
        if (optional) at++
        const nested = tokens[at] === ':'
        if (nested) at++
        fields.set(name, { optional, shape: nested ? parse() : { kind: 'unchecked' } })
      } else throw new Error(`docs/json.md has "${name}" where a field is: ${text}`)
      if (tokens[at] === ',') at++
    }
    return { kind: 'object', fields, open }
  }
  const expectToken = (token: string): void => {
    if (next() !== token) throw new Error(`docs/json.md lacks "${token}": ${text}`)
  }
  return parse()
}
