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
  /** What it imports, in whatever form: files of the repository by their path, everything else as it is written. */
  readonly imports: readonly string[]
  /** Those of them that are there when it runs: not what `import type` says. */
  readonly runtimeImports: readonly string[]
  /** Whether it imports something whose name is computed. */
  readonly importsComputed: boolean
  /** Whether it can get at `require`, by which what it loads is not seen here. */
  readonly requires: boolean
  /** How it uses the names that it does not declare: `process.env`, `new Date()`, `console`. */
  readonly globals: ReadonlySet<string>
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
    // it takes longest, and only the product is asked for it
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
