import { LockstepError } from '../../kernel/errors.ts'
import { ModuleCache } from '../bundle/module-graph.ts'
import { lineOf } from '../bundle/syntax.ts'
import { ownModules } from '../bundle/transform-places.ts'

/** Where a definition is written. */
export interface DefinitionLine {
  /** `featureView` */
  readonly call: string
  readonly name: string
  readonly file: string
  /** From 1. */
  readonly line: number
}

/**
 * Reads a definitions file and the modules that it imports by path, without running them.
 *
 * @returns the files that were read, the one that does not parse included; and the definitions in those that parse
 */
export function readModules(entry: string): { readonly files: readonly string[]; readonly places: readonly DefinitionLine[] } {
  const cache = new ModuleCache()
  const files = new Set([entry])
  try {
    ownModules(entry, cache)
  } catch (error) {
    // loading the file reports it
    if (error instanceof LockstepError && typeof error.details['file'] === 'string') files.add(error.details['file'])
  }
  const places = cache.modules.flatMap(({ file, text, definitions }) =>
    definitions.flatMap(({ call, name, declarator }) =>
      name === null ? [] : [{ call, name, file, line: lineOf(text, declarator.start) }],
    ),
  )
  for (const { file } of cache.modules) files.add(file)
  return { files: [...files], places }
}
