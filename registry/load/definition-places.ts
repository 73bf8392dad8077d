import { realpathSync } from 'node:fs'
import type { DefinitionKind } from '../../migrations/schema.ts'
import { isLockstepImport } from '../bundle/lockstep-imports.ts'
import { ModuleCache } from '../bundle/module-graph.ts'
import { definitionCalls } from '../bundle/module-definitions.ts'
import { lineOf } from '../bundle/syntax.ts'
import { ownModules } from '../bundle/transform-places.ts'

/** Where a definition with a version is written. */
export interface DefinitionPlace {
  readonly kind: DefinitionKind
  /** null: it is no literal, as in a function that makes several definitions. */
  readonly name: string | null
  readonly version: number | null
  readonly file: string
  /** The complete text of the file. */
  readonly text: string
  /** The line of the version, or of the call if no version is written there; from 1. */
  readonly line: number
  /** Indexes into `text` of the version's value. */
  readonly versionAt: { readonly start: number; readonly end: number } | null
  /** The first and last line of its transform. */
  readonly transform: { readonly from: number; readonly to: number } | null
}

const kindOfCall: Readonly<Partial<Record<string, DefinitionKind>>> = {
  featureView: 'view',
  onDemandView: 'onDemand',
  featureService: 'service',
}

/**
 * Finds the calls that make feature views, on-demand views and services, in a definitions file and the files that it
 * imports by path.
 *
 * @throws LockstepError `DEFINITIONS_INVALID` if a file does not parse
 */
export function definitionPlaces(file: string): DefinitionPlace[] {
  return ownModules(realpathSync(file), new ModuleCache()).flatMap(({ file: path, text, program }) =>
    definitionCalls(program, (specifier) => isLockstepImport(specifier, path)).flatMap(
      ({ call, name, version, versionAt, transform, start }): DefinitionPlace[] => {
        const kind = kindOfCall[call]
        if (kind === undefined) return []
        const lines = transform && { from: lineOf(text, transform.start), to: lineOf(text, transform.end) }
        return [{ kind, name, version, file: path, text, line: lineOf(text, versionAt?.start ?? start), versionAt, transform: lines }]
      },
    ),
  )
}
