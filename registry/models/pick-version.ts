import { LockstepError } from '../../kernel/errors.ts'
import { checkName } from '../define/names.ts'
import type { CatalogModel } from '../catalog.ts'
import type { ModelAlias } from './model-aliases.ts'
import { championAlias } from './model-aliases.ts'
import type { ModelVersion } from './model-versions.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'

/** A version by its number or by an alias. */
export type VersionReference = number | string

/** Parses a version from a path, a body or the command line. `3` and `v3` are numbers; anything else is an alias. */
export function versionReference(text: string): VersionReference {
  return numbered.test(text) ? Number(text.replace('v', '')) : text
}

const numbered = /^v?\d{1,9}$/

/** @throws LockstepError `INVALID_NAME` also if it reads as a number */
export function checkAlias(alias: string): string {
  if (!numbered.test(alias)) return checkName(alias, 'An alias')
  throw new LockstepError(
    'INVALID_NAME',
    `An alias is "${alias}", which is the version ${versionReference(alias)}; give it a name such as "stable".`,
  )
}

/**
 * The version with this number or alias.
 *
 * @param wanted absent: the pinned version, else the champion, or the newest version if there is none
 * @throws LockstepError `UNKNOWN_DEFINITION`
 */
export function pickVersion(model: CatalogModel, wanted?: VersionReference): ModelVersion {
  const number = wanted === undefined ? answeringVersion(model) : numberOf(model, wanted)
  const found = model.versions.find(({ version }) => version === number)
  if (found !== undefined) return found
  const existing = model.versions.map(({ version }) => version).join(', ')
  if (existing === '') throw noVersion(model.name)
  throw new LockstepError('UNKNOWN_DEFINITION', `The model "${model.name}" has no version ${String(number)}; it has ${existing}.`, {
    details: { model: model.name },
  })
}

/** The version that answers requests which name none, where no rollout runs; null: the model has no version. */
export function answeringVersion({ pin, aliases, versions }: Pick<CatalogModel, 'pin' | 'aliases' | 'versions'>): number | null {
  return pin ?? aliases.get(championAlias)?.version ?? versions.at(-1)?.version ?? null
}

export function noVersion(model: string): LockstepError {
  return new LockstepError(
    'UNKNOWN_DEFINITION',
    `The model "${model}" has no version yet; push one with "lockstep model push ${model} FILE".`,
    {
      details: { model },
    },
  )
}

function numberOf(model: CatalogModel, wanted: VersionReference): number {
  if (typeof wanted === 'number') return wanted
  const version = model.aliases.get(wanted)?.version
  if (version !== undefined) return version
  throw noAlias(model, wanted, 'Name a version by its number, or set the alias by')
}

/**
 * An alias with its version and its previous versions.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`
 */
export function requireAlias(model: CatalogModel, alias: string): ModelAlias {
  const existing = model.aliases.get(alias)
  if (existing === undefined) throw noAlias(model, alias, 'It is set by')
  return existing
}

function noAlias(model: CatalogModel, alias: string, advice: string): LockstepError {
  const existing = [...model.aliases.keys()]
  const set = alias === championAlias ? `lockstep model promote ${model.name}@N` : `lockstep model alias ${model.name}@N ${alias}`
  const known = existing.length === 0 ? 'it has none' : `it has ${quotedNames(existing)}`
  return new LockstepError(
    'UNKNOWN_DEFINITION',
    `The model "${model.name}" has no alias "${alias}"; ${known}.${didYouMean(alias, existing)} ${advice} "${set}".`,
    { details: { model: model.name, alias } },
  )
}

/**
 * Parses `delay`, `delay@3` or `delay@champion`, as on the command line.
 *
 * @throws LockstepError `USAGE`
 */
export function parseModelReference(text: string): { readonly model: string; readonly version?: VersionReference } {
  const [model = '', version, ...more] = text.split('@')
  if (model === '' || version === '' || more.length > 0) {
    throw new LockstepError('USAGE', `"${text}" does not name a model version; write "delay", "delay@3" or "delay@champion".`)
  }
  if (version === undefined) return { model }
  return { model, version: versionReference(version) }
}
