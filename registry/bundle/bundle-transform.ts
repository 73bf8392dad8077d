import { isBuiltin, SourceMap } from 'node:module'
import type { SourceMapPayload } from 'node:module'
import { dirname, resolve } from 'node:path'
import type { Plugin } from 'esbuild'
import { build } from 'esbuild'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { asExpression, printing, reprint } from './expression.ts'
import { isLockstepImport } from './lockstep-imports.ts'
import type { StaticDefinition } from './module-definitions.ts'
import type { ModuleCache } from './module-graph.ts'
import { isOwnSource } from './module-graph.ts'
import { anonymousModules } from './anonymous-modules.ts'
import { impurities } from './purity.ts'
import { transformExport } from './rewrite-module.ts'
import { parseModule } from './syntax.ts'

/** Where a transform stands. */
export interface TransformPlace {
  readonly file: string
  readonly definition: StaticDefinition
  /** `view "airport_delays"`, for messages. */
  readonly what: string
}

/**
 * Bundles a transform with everything that it uses, including imported helpers and packages. The result is the text of
 * one expression whose value is the function. The same transform gives the same text in any folder, independent of the
 * rest of its file.
 *
 * Modules count as free of side effects, so an unused import is dropped. Other top-level code of an imported module
 * stays, and must be pure too.
 *
 * @throws LockstepError `TRANSFORM_IMPURE` naming the view, what it uses and where; `TRANSFORM_FAILED` if it cannot be
 *   bundled
 */
export async function bundleTransform(place: TransformPlace, modules: ModuleCache): Promise<string> {
  const folder = dirname(place.file)
  const { text, map } = await bundled(place, folder, modules)
  const program = parseModule('bundle.js', text)
  const [first] = impurities(program)
  if (first !== undefined) {
    const { file, line } = originOf(text, first.at, map, folder)
    throw new LockstepError(
      'TRANSFORM_IMPURE',
      `The transform of ${place.what} uses ${first.what} (${file}:${line}); it must be synchronous and depend only on its input: no promises, clock, randomness, input or output, or properties of the machine.`,
      { details: { uses: first.what, file, line } },
    )
  }
  return reprint(anonymousModules(asExpression(text, program)))
}

async function bundled(place: TransformPlace, folder: string, modules: ModuleCache): Promise<{ text: string; map: SourceMapPayload }> {
  // a module that imports the transform's own may name its definitions: then the bundle is made with all of them
  let isImported = false
  const bundle = (kept: 'all' | 'named') =>
    build({
      ...printing,
      stdin: { contents: `export { ${transformExport} as default } from ${JSON.stringify(place.file)}`, resolveDir: folder, loader: 'js' },
      absWorkingDir: folder,
      bundle: true,
      write: false,
      outdir: folder,
      format: 'esm',
      platform: 'node',
      treeShaking: true,
      sourcemap: 'external',
      sourcesContent: false,
      define: { 'process.env.NODE_ENV': '"production"' },
      plugins: [shedding(place, modules, kept, () => (isImported = true))],
    })
  try {
    const first = await bundle('named').catch((cause: unknown) => {
      if (isImported) return null
      throw cause
    })
    const result = first === null || isImported ? await bundle('all') : first
    const text = result.outputFiles.find((f) => f.path.endsWith('.js'))?.text
    const map = result.outputFiles.find((f) => f.path.endsWith('.map'))?.text
    if (text === undefined || map === undefined) throw new Error('esbuild wrote nothing')
    return { text, map: JSON.parse(map) as SourceMapPayload }
  } catch (cause) {
    throw new LockstepError('TRANSFORM_FAILED', `The transform of ${place.what} cannot be bundled: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Reads the user's modules through their `rewrite`, and treats every import as free of side effects.
 *
 * @param kept the definitions that stay in the transform's module
 * @param onImport called when another module imports the transform's
 */
function shedding(place: TransformPlace, modules: ModuleCache, kept: 'all' | 'named', onImport: () => void): Plugin {
  return {
    name: 'shedding',
    setup(build) {
      build.onResolve({ filter: /.*/ }, async (args) => {
        if (args.pluginData === resolving || args.kind === 'entry-point') return undefined
        if (args.importer === '<stdin>') return { path: place.file, sideEffects: false }
        const outside =
          args.kind === 'dynamic-import' ||
          isBuiltin(args.path) ||
          args.path.endsWith('.node') ||
          isLockstepImport(args.path, args.importer)
        if (outside) return { path: args.path, external: true, sideEffects: false }
        const found = await build.resolve(args.path, {
          kind: args.kind,
          resolveDir: args.resolveDir,
          importer: args.importer,
          with: args.with,
          pluginData: resolving,
        })
        if (found.errors.length > 0) return { errors: found.errors }
        if (found.path === place.file) onImport()
        return { path: found.path, namespace: found.namespace, external: found.external, sideEffects: false }
      })
      build.onLoad({ filter: /\.[cm]?[jt]s$/, namespace: 'file' }, (args) => {
        if (!isOwnSource(args.path)) return undefined
        const { rewrite } = modules.get(args.path)
        const contents = args.path === place.file ? rewrite(place.definition, kept) : rewrite(null, 'all')
        return { contents, loader: args.path.endsWith('ts') ? 'ts' : 'js', resolveDir: dirname(args.path) }
      })
    },
  }
}

const resolving = Symbol('resolving')

/** The user's file and line of an index into the bundle. */
function originOf(text: string, at: number, map: SourceMapPayload, folder: string): { file: string; line: number } {
  const before = text.slice(0, at)
  const lineStart = before.lastIndexOf('\n') + 1
  const entry = new SourceMap(map).findEntry(before.split('\n').length - 1, at - lineStart)
  if (!('originalSource' in entry)) return { file: folder, line: 0 }
  return { file: resolve(folder, entry.originalSource), line: entry.originalLine + 1 }
}
