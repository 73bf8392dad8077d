import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { globSync } from 'node:fs'
import { Visitor, parseSync } from 'oxc-parser'

export const rootFolder = dirname(dirname(fileURLToPath(import.meta.url)))

export interface SourceFile {
  /** From the repository's root, with forward slashes: `kernel/time.ts`. */
  readonly path: string
  readonly lines: number
  /** What it imports, in whatever form: files of the repository by their path, everything else as it is written. */
  readonly imports: readonly string[]
  /** `process.env`, `Date.now` and the like: members of global objects that it reads. */
  readonly members: ReadonlySet<string>
}

/** Every TypeScript file of these folders (or the files themselves), parsed. */
export function sourceFiles(places: readonly string[]): SourceFile[] {
  const patterns = places.map((place) => (place.endsWith('.ts') ? place : `${place}/**/*.ts`))
  return globSync(patterns, { cwd: rootFolder })
    .toSorted()
    .map((path) => parse(path, readFileSync(join(rootFolder, path), 'utf8')))
}

export function parse(path: string, text: string): SourceFile {
  const { program, errors } = parseSync(path, text, { sourceType: 'module' })
  if (errors.length > 0) throw new Error(`"${path}" does not parse: ${errors.map((error) => error.message).join('; ')}`)
  const specifiers: string[] = []
  const members = new Set<string>()
  const literal = (node: { readonly type: string; readonly value?: unknown } | null): void => {
    if (node === null) return
    if (node.type !== 'Literal' || typeof node.value !== 'string') throw new Error(`"${path}" imports what is not a plain string.`)
    specifiers.push(node.value)
  }
  new Visitor({
    ImportDeclaration: (node) => literal(node.source),
    ExportNamedDeclaration: (node) => literal(node.source),
    ExportAllDeclaration: (node) => literal(node.source),
    ImportExpression: (node) => literal(node.source),
    TSImportType: (node) => literal(node.source),
    NewExpression: (node) => {
      const [first] = node.arguments
      const isUrl = node.callee.type === 'Identifier' && node.callee.name === 'URL'
      if (isUrl && first?.type === 'Literal' && typeof first.value === 'string' && first.value.endsWith('.ts')) literal(first)
    },
    MemberExpression: (node) => {
      if (node.object.type !== 'Identifier') return
      if (node.property.type === 'Identifier') members.add(`${node.object.name}.${node.property.name}`)
      if (node.property.type === 'Literal') members.add(`${node.object.name}.${String(node.property.value)}`)
    },
  }).visit(program)
  const imports = specifiers.map((name) => (name.startsWith('.') ? relative(rootFolder, join(rootFolder, dirname(path), name)) : name))
  return { path, lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0), imports: [...new Set(imports)], members }
}

/** `@scope/name/part` is the package `@scope/name`. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
