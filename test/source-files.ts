import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ImportDeclarationSpecifier, type Span, Visitor, parseSync } from 'oxc-parser'
import { globalUses } from './global-uses.ts'

export const rootFolder = dirname(dirname(fileURLToPath(import.meta.url)))

export interface SourceFile {
  /** From the repository's root, with forward slashes: `kernel/values/time.ts`. */
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
  const parsed = parseSync(path, text, { sourceType: 'module' })
  if (parsed.errors.length > 0) throw new Error(`"${path}" does not parse: ${parsed.errors.map((error) => error.message).join('; ')}`)
  const imports = new Set<string>()
  const runtimeImports = new Set<string>()
  let importsComputed = false
  let requires = false
  const add = (name: string, kind: 'type' | 'value'): void => {
    const imported = name.startsWith('.') ? relative(rootFolder, join(rootFolder, dirname(path), name)) : name
    imports.add(imported)
    if (kind !== 'type') runtimeImports.add(imported)
  }
  const kindOf = ({ start, end }: Span): 'type' | 'value' => (/^\w+\s+type\b/.test(text.slice(start, end)) ? 'type' : 'value')
  for (const each of parsed.module.staticImports) add(each.moduleRequest.value, kindOf(each))
  for (const each of parsed.module.staticExports) {
    for (const { moduleRequest } of each.entries) if (moduleRequest !== null) add(moduleRequest.value, kindOf(each))
  }
  // the tree takes far longer than the list of static imports
  if (/\bimport\(|\bnew URL\(|node:module/.test(text)) {
    new Visitor({
      ImportDeclaration: (node) => {
        if (node.source.value === 'node:module') requires ||= node.specifiers.some(givesRequire)
      },
      TSImportType: (node) => add(node.source.value, 'type'),
      ImportExpression: ({ source }) => {
        if (source.type === 'Literal' && typeof source.value === 'string') add(source.value, 'value')
        else importsComputed = true
      },
      NewExpression: ({ callee, arguments: [first] }) => {
        if (callee.type !== 'Identifier' || callee.name !== 'URL' || first?.type !== 'Literal') return
        if (typeof first.value === 'string' && first.value.endsWith('.ts')) add(first.value.replace(/^(?!\.)/, './'), 'type')
      },
    }).visit(parsed.program)
  }
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
