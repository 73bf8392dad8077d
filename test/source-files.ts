import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ImportDeclarationSpecifier, Visitor, parseSync } from 'oxc-parser'
import { globalUses } from './global-uses.ts'

export const rootFolder = dirname(dirname(fileURLToPath(import.meta.url)))

export interface SourceFile {
  /** From the repository's root, with forward slashes: `kernel/time.ts`. */
  readonly path: string
  readonly lines: number
  /** Its imports, in any form: files of the repository by their path, all others as written. */
  readonly imports: readonly string[]
  /** The imports that exist at run time: all but `import type`. */
  readonly runtimeImports: readonly string[]
  /** Whether it imports a computed name. */
  readonly importsComputed: boolean
  /** Whether it can reach `require`, whose imports are not seen here. */
  readonly requires: boolean
  /** Its uses of undeclared names: `process.env`, `new Date()`, `console`. */
  readonly globals: ReadonlySet<string>
}

/** Every TypeScript file of these folders (or the files themselves), parsed. */
export function sourceFiles(places: readonly string[]): SourceFile[] {
  const patterns = places.map((place) => (place.endsWith('.ts') ? place : `${place}/**/*.{ts,tsx}`))
  return globSync(patterns, { cwd: rootFolder })
    .toSorted()
    .map((path) => parse(path, readFileSync(join(rootFolder, path), 'utf8')))
}

export function parse(path: string, text: string): SourceFile {
  const { program, errors } = parseSync(path, text, { sourceType: 'module' })
  if (errors.length > 0) throw new Error(`"${path}" does not parse: ${errors.map((error) => error.message).join('; ')}`)
  const imports = new Set<string>()
  const runtimeImports = new Set<string>()
  let importsComputed = false
  let requires = false
  const add = (name: string, kind: 'type' | 'value' | null | undefined): void => {
    const imported = name.startsWith('.') ? relative(rootFolder, join(rootFolder, dirname(path), name)) : name
    imports.add(imported)
    if (kind !== 'type') runtimeImports.add(imported)
  }
  new Visitor({
    ImportDeclaration: (node) => {
      add(node.source.value, node.importKind)
      if (node.source.value === 'node:module') requires ||= node.specifiers.some(givesRequire)
    },
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
  }).visit(program)
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
  let globals: ReadonlySet<string> | undefined
  return {
    path,
    lines,
    imports: [...imports],
    runtimeImports: [...runtimeImports],
    importsComputed,
    requires,
    // only product files need it, and it takes the longest
    get globals() {
      return (globals ??= globalUses(text))
    },
  }
}

/** `createRequire` itself, or something that holds it: the module as a whole. */
function givesRequire(specifier: ImportDeclarationSpecifier): boolean {
  if (specifier.type !== 'ImportSpecifier') return true
  const { imported } = specifier
  return ['createRequire', 'Module', 'default'].includes(imported.type === 'Identifier' ? imported.name : imported.value)
}

/** `@scope/name/part` is the package `@scope/name`. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
