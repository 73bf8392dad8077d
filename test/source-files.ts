import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Visitor, parseSync } from 'oxc-parser'

export const rootFolder = dirname(dirname(fileURLToPath(import.meta.url)))

export interface SourceFile {
  /** From the repository's root, with forward slashes: `kernel/time.ts`. */
  readonly path: string
  readonly lines: number
  /** What it imports, in whatever form: files of the repository by their path, everything else as it is written. */
  readonly imports: readonly string[]
  /** Those of them that are there when it runs: not what `import type` says. */
  readonly runtimeImports: readonly string[]
  /** Whether it imports something whose name is computed. */
  readonly importsComputed: boolean
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
  const imports = new Set<string>()
  const runtimeImports = new Set<string>()
  const members = new Set<string>()
  let importsComputed = false
  const add = (name: string, kind: 'type' | 'value' | null | undefined): void => {
    const imported = name.startsWith('.') ? relative(rootFolder, join(rootFolder, dirname(path), name)) : name
    imports.add(imported)
    if (kind !== 'type') runtimeImports.add(imported)
  }
  new Visitor({
    ImportDeclaration: (node) => add(node.source.value, node.importKind),
    ExportNamedDeclaration: (node) => void (node.source !== null && add(node.source.value, node.exportKind)),
    ExportAllDeclaration: (node) => add(node.source.value, node.exportKind),
    TSImportType: (node) => add(node.source.value, 'type'),
    ImportExpression: ({ source }) => {
      if (source.type === 'Literal' && typeof source.value === 'string') add(source.value, 'value')
      else importsComputed = true
    },
    NewExpression: ({ callee, arguments: [first] }) => {
      if (callee.type !== 'Identifier' || callee.name !== 'URL' || first?.type !== 'Literal') return
      if (typeof first.value === 'string' && first.value.endsWith('.ts')) add(first.value.replace(/^(?!\.)/, './'), 'type')
    },
    MemberExpression: (node) => {
      if (node.object.type !== 'Identifier') return
      if (node.property.type === 'Identifier') members.add(`${node.object.name}.${node.property.name}`)
      if (node.property.type === 'Literal') members.add(`${node.object.name}.${String(node.property.value)}`)
    },
  }).visit(program)
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
  return { path, lines, imports: [...imports], runtimeImports: [...runtimeImports], importsComputed, members }
}

/** `@scope/name/part` is the package `@scope/name`. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
