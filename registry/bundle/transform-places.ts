import { existsSync, realpathSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { LockstepError } from '../../kernel/errors.ts'
import type { TransformPlace } from './bundle-transform.ts'
import { isLockstepImport } from './lockstep-imports.ts'
import { codeField } from './module-definitions.ts'
import type { ModuleCache, ParsedModule } from './module-graph.ts'
import { isOwnSource } from './module-graph.ts'
import { boundNames } from './syntax.ts'

/**
 * Parses a user's module and the modules that it imports by path.
 *
 * @throws LockstepError `DEFINITIONS_INVALID` for the first that does not parse, naming file and line
 */
export function ownModules(entry: string, modules: ModuleCache): ParsedModule[] {
  const found = new Map<string, ParsedModule>()
  const waiting = [entry]
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file)) continue
    const parsed = modules.get(file)
    found.set(file, parsed)
    for (const statement of parsed.program.body) {
      const imports =
        statement.type === 'ImportDeclaration' || statement.type === 'ExportNamedDeclaration' || statement.type === 'ExportAllDeclaration'
      const specifier = imports ? statement.source?.value : undefined
      if (specifier === undefined || !/^\.{0,2}\//.test(specifier) || isLockstepImport(specifier, file)) continue
      const path = resolve(dirname(file), specifier)
      // The import itself reports a missing file.
      if (isOwnSource(path) && existsSync(path)) waiting.push(realpathSync(path))
    }
  }
  return [...found.values()]
}

const kinds: Readonly<Record<string, string>> = { featureView: 'view', onDemandView: 'on-demand view', outcome: 'outcome' }

/**
 * Finds the source of a definition's transform. It reads only module-level DSL calls, and only one that certainly made
 * the definition. A version or a definition made in another way must not get the transform of one that is written under
 * its name.
 *
 * @param call `featureView`, `onDemandView` or `outcome`
 * @throws LockstepError `TRANSFORM_NOT_STATIC` unless exactly one module-level call makes it
 */
export async function findTransform(
  modules: readonly ParsedModule[],
  call: string,
  definition: { readonly name: string; readonly version?: number },
): Promise<TransformPlace> {
  const [kind, field] = [kinds[call] ?? call, codeField(call)]
  const what = `${kind} "${definition.name}"`
  const version = definition.version === undefined ? '' : ` version ${definition.version}`
  const places = modules.flatMap(({ file, definitions }) =>
    definitions
      .filter((d) => d.call === call && d.name === definition.name && (d.version === null || d.version === definition.version))
      .map((d) => ({ file, definition: d })),
  )
  const [place] = places
  const refused = `The ${field} of ${what}${version} cannot be found in the source`
  if (place === undefined || places.length > 1 || place.definition.transform === null) {
    throw new LockstepError(
      'TRANSFORM_NOT_STATIC',
      `${refused}; write the ${kind === 'outcome' ? kind : 'view'} as a module-level const x = ${call}('${definition.name}', { ${version === '' ? '' : `version: ${definition.version}, `}${field}: … }), ` +
        `with its name${version === '' ? '' : ', version'} and ${field} written there, in this file or in one that it imports by path.`,
    )
  }
  const [local = ''] = boundNames(place.definition.declarator.id)
  const details = { file: place.file, const: local }
  if (place.definition.exported) {
    const namespace: unknown = await import(pathToFileURL(place.file).href)
    if ((namespace as Readonly<Record<string, unknown>>)[local] === definition) return { ...place, what }
    throw new LockstepError(
      'TRANSFORM_NOT_STATIC',
      `${refused}: it is created elsewhere than "${local}" in ${place.file}, which has the same name${version === '' ? '' : ' and version'}. Change one of them.`,
      { details },
    )
  }
  if (modules.some(({ otherUses }) => otherUses.has(call))) {
    throw new LockstepError(
      'TRANSFORM_NOT_STATIC',
      `${refused}: ${call} is also called in other ways, so it may be created elsewhere than "${local}" in ${place.file}. Export "${local}" to make it clear.`,
      { details },
    )
  }
  return { ...place, what }
}
