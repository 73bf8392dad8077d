import { readFileSync } from 'node:fs'
import type { Program } from 'oxc-parser'
import { isLockstepImport } from './lockstep-imports.ts'
import type { StaticDefinition } from './module-definitions.ts'
import { moduleDefinitions } from './module-definitions.ts'
import { otherUses } from './other-uses.ts'
import type { ModuleRewriter } from './rewrite-module.ts'
import { moduleRewriter } from './rewrite-module.ts'
import { parseModule } from './syntax.ts'

/** A module of the user's, parsed. */
export interface ParsedModule {
  readonly file: string
  readonly text: string
  readonly program: Program
  readonly definitions: readonly StaticDefinition[]
  /** The DSL functions that it uses outside of `definitions`. */
  readonly otherUses: ReadonlySet<string>
  readonly rewrite: ModuleRewriter
}

/** Whether a file is the user's own source, rather than a package's. */
export function isOwnSource(file: string): boolean {
  return /\.[cm]?[jt]s$/.test(file) && !/[\\/]node_modules[\\/]/.test(file)
}

/** Reads and parses modules, each once. */
export class ModuleCache {
  readonly #modules = new Map<string, ParsedModule>()

  /** Those that were read. */
  get modules(): readonly ParsedModule[] {
    return [...this.#modules.values()]
  }

  /** @throws LockstepError `DEFINITIONS_INVALID` naming file and line */
  get(file: string): ParsedModule {
    const known = this.#modules.get(file)
    if (known !== undefined) return known
    const text = readFileSync(file, 'utf8')
    const program = parseModule(file, text)
    const isLockstep = (specifier: string): boolean => isLockstepImport(specifier, file)
    const definitions = moduleDefinitions(program, isLockstep)
    const parsed = {
      file,
      text,
      program,
      definitions,
      otherUses: otherUses(program, definitions, isLockstep),
      rewrite: moduleRewriter(text, program, definitions),
    }
    this.#modules.set(file, parsed)
    return parsed
  }
}
