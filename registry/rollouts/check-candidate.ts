import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { Catalog, CatalogModel } from '../catalog.ts'
import { pickVersion } from '../models/pick-version.ts'
import { requireServable } from '../models/require-servable.ts'
import { requestUnit } from './rollout.ts'

/** The fields of the entities of a service: its key columns and its request values. A key may be request data, too. */
export function entityFields({ keys, request }: ServicePlan): Column[] {
  return [...keys, ...request.filter(({ name }) => !keys.some((key) => key.name === name))]
}

/** Whether values of a type have a canonical text by which they can be assigned. */
export function isUnitType({ kind }: ValueType): boolean {
  return kind !== 'vector' && kind !== 'list' && kind !== 'counts'
}

/** The words of messages about the version. */
interface CandidateWords {
  readonly not: string
  readonly use: string
}
const rolloutWords: CandidateWords = { not: 'it was not rolled out', use: 'roll out' }

/**
 * Checks that a version can share the requests of a model with the one that answers them now.
 *
 * @param unit absent: the first key column, or each request without one
 * @returns the unit
 * @throws LockstepError `NOT_PROMOTABLE`, `INVALID_REQUEST` for the unit
 */
export function checkCandidate(
  catalog: Catalog,
  model: CatalogModel,
  version: number,
  unit: string | undefined,
  words: CandidateWords = rolloutWords,
): string {
  const { service } = requireServable(catalog, model, version, words.not)
  const { name } = model
  const answering = pickVersion({ ...model, pin: null })
  if (answering.version === version) {
    throw new LockstepError(
      'NOT_PROMOTABLE',
      `The version ${version} of the model "${name}" answers already${model.aliases.has('champion') ? '' : ', because it is the newest and the model has no champion'}, so there is nothing to ${words.use}. Promote the version that should answer the other requests first: lockstep model promote ${name}@N.`,
      { details: { model: name, version } },
    )
  }
  const other = requireServable(catalog, model, answering.version, 'it has no requests to share')
  const differs = differingField(service, other.service)
  if (differs !== null) {
    throw new LockstepError(
      'NOT_PROMOTABLE',
      `The version ${version} of the model "${name}" takes other entities than version ${answering.version}: ${differs.how}, so no request fits both. Promote it instead: lockstep model promote ${name}@${version}.`,
      { details: { model: name, version, field: differs.field } },
    )
  }
  return checkUnit(name, entityFields(service), unit ?? service.keys[0]?.name ?? requestUnit)
}

/** A field of entities that two services take differently; null: a request for one suits the other. */
export function differingField(one: ServicePlan, other: ServicePlan): { readonly field: string; readonly how: string } | null {
  const [own, theirs] = [entityFields(one), entityFields(other)]
  const differs = [...own, ...theirs].find((field) => typeIn(own, field) !== typeIn(theirs, field))
  if (differs === undefined) return null
  const how = `the field "${differs.name}" is ${typeIn(own, differs) ?? 'unknown'} to "${one.id}" and ${typeIn(theirs, differs) ?? 'unknown'} to "${other.id}"`
  return { field: differs.name, how }
}

function typeIn(fields: readonly Column[], { name }: Column): string | undefined {
  const type = fields.find((field) => field.name === name)?.type
  return type === undefined ? undefined : typeName(type)
}

function checkUnit(model: string, fields: readonly Column[], unit: string): string {
  if (unit === requestUnit) return unit
  const usable = fields.filter(({ type }) => isUnitType(type)).map(({ name }) => name)
  if (usable.includes(unit)) return unit
  const known = fields.find(({ name }) => name === unit)
  const why = known === undefined ? `requests for the model "${model}" have no such field` : `a ${typeName(known.type)} is no unit`
  throw new LockstepError(
    'INVALID_REQUEST',
    `The unit is "${unit}", but ${why}.${didYouMean(unit, usable)} Name ${usable.map((name) => `"${name}" or `).join('')}"${requestUnit}".`,
    { details: { model, unit } },
  )
}
