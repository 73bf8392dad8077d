import type { Kysely } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ServiceSpec } from '../../kernel/specs/service-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { definitionsReached } from '../definition.ts'
import type { ModelBinding } from './model-binding.ts'

/** The features that a model version is served with. */
export interface ServedFeatures {
  readonly model: string
  /** `flight_features@2` */
  readonly service: string
  readonly serviceFingerprint: string
  readonly binding: ModelBinding
}

interface TrainingSet {
  readonly id: string
  /** `flight_features@1` */
  readonly service: string
  readonly fingerprint: string
  readonly path: string
}

/** The training set of a pushed version; null: it named none, or the registry no longer has it. */
export async function trainingSetOf(
  handle: Kysely<LockstepTables>,
  { dataset }: { readonly dataset: string | null },
): Promise<TrainingSet | null> {
  if (dataset === null) return null
  const set = await handle
    .selectFrom('lockstep.datasets')
    .select(['id', 'service', 'fingerprint', 'path'])
    .where('id', '=', dataset)
    .executeTakeFirst()
  return set ?? null
}

/** @throws LockstepError `UNKNOWN_DEFINITION` unless exactly one training set has an id with this beginning */
export async function findTrainingSet(handle: Kysely<LockstepTables>, id: string): Promise<TrainingSet> {
  const sets = await handle.selectFrom('lockstep.datasets').select(['id', 'service', 'fingerprint', 'path']).execute()
  const exact = sets.find((set) => set.id === id)
  const found = exact === undefined ? sets.filter((set) => set.id.startsWith(id)) : [exact]
  const [dataset] = found
  if (dataset !== undefined && found.length === 1) return dataset
  const what = dataset === undefined ? 'There is no training set' : `There are ${found.length} training sets`
  throw new LockstepError('UNKNOWN_DEFINITION', `${what} "${id}"; "lockstep dataset list" lists them.`, { details: { id } })
}

/**
 * Checks whether a model was trained on the features that it is served with.
 *
 * @param dataset the model's training set; null: none was named
 * @param how `allowed`: a difference is intended; `allow`: how to allow one
 * @returns notes for the user
 * @throws LockstepError `DATASET_MISMATCH` saying which features differ
 */
export async function checkTrainedOn(
  handle: Kysely<LockstepTables>,
  dataset: TrainingSet | null,
  served: ServedFeatures,
  how: { readonly allowed: boolean; readonly allow: string },
): Promise<string[]> {
  const { model, service } = served
  if (dataset === null) {
    return [`without --dataset, Lockstep cannot check that "${model}" was trained on the features of "${service}"`]
  }
  const why = await otherFeatures(handle, dataset, served)
  if (why === null) return []
  const what = `the training set "${dataset.id}" has the features of "${dataset.service}", but the model is served with those of "${service}": ${why}`
  if (how.allowed) return [what]
  throw new LockstepError(
    'DATASET_MISMATCH',
    `The model "${model}" was trained on other features: ${what}. Train it on a training set of "${service}". If the difference is intended, ${how.allow}.`,
    { details: { model, service, dataset: dataset.id, datasetService: dataset.service } },
  )
}

/**
 * Checks whether the rows of a training set have the feature values that a model is served with, in any order.
 *
 * @throws LockstepError `DATASET_MISMATCH` saying which features differ
 */
export async function requireOwnFeatures(
  handle: Kysely<LockstepTables>,
  dataset: TrainingSet,
  { model, service, binding }: { readonly model: string; readonly service: ServicePlan; readonly binding: ModelBinding },
): Promise<void> {
  const { why } = await compareFeatures(handle, dataset, { model, service: service.id, serviceFingerprint: service.fingerprint, binding })
  if (why === null) return
  throw new LockstepError(
    'DATASET_MISMATCH',
    `The training set "${dataset.id}" has the features of "${dataset.service}", but "${model}" is served with those of "${service.id}": ${why}. Use a training set of "${service.id}". If the difference is intended, name the file itself.`,
    { details: { model, service: service.id, dataset: dataset.id, datasetService: dataset.service } },
  )
}

/**
 * Finds a feature that the training set lacks, or that it takes from another view, another version of the view, or
 * another place of a packed input. null: there is none. Features that the model does not use do not matter.
 */
async function otherFeatures(handle: Kysely<LockstepTables>, dataset: TrainingSet, served: ServedFeatures): Promise<string | null> {
  const { why, inOrder, taken } = await compareFeatures(handle, dataset, served)
  if (why !== null || served.binding.layout === 'named' || inOrder.every((name, i) => name === taken[i])) return why
  return `its features have another order: ${inOrder.join(', ')} there and ${taken.join(', ')} here`
}

/** `why`: which of the `taken` features differ; null: none. `inOrder`: the taken ones, as the training set has them. */
async function compareFeatures(
  handle: Kysely<LockstepTables>,
  dataset: TrainingSet,
  { service, serviceFingerprint, binding }: ServedFeatures,
): Promise<{ readonly why: string | null; readonly inOrder: readonly string[]; readonly taken: readonly string[] }> {
  const taken = [...new Set(binding.inputs.flatMap(({ columns }) => columns.map(({ name }) => name)))]
  if (dataset.service === service && dataset.fingerprint === serviceFingerprint) return { why: null, inOrder: taken, taken }
  const stored = await definitionsReached(handle, [`service ${dataset.service}`, `service ${service}`], () => [])
  const originsOf = (id: string, fingerprint: string) => {
    const found = stored.find(
      (each) => each.kind === 'service' && `${each.name}@${each.version}` === id && each.fingerprint === fingerprint,
    )
    return found?.kind === 'service' ? originsIn(found.spec) : null
  }
  const [trained, served] = [originsOf(dataset.service, dataset.fingerprint), originsOf(service, serviceFingerprint)]
  if (trained === null || served === null)
    return { why: `it has the features of another definition of "${dataset.service}"`, inOrder: [], taken }

  const differing = taken.flatMap((name) => {
    const [then, now] = [trained.get(name), served.get(name)]
    if (then === undefined) return [`"${name}" is not in it`]
    return then === now ? [] : [`"${name}" comes from ${then} there and from ${now ?? 'nothing'} here`]
  })
  const inOrder = [...trained.keys()].filter((name) => taken.includes(name))
  return { why: differing.length > 0 ? listed(differing) : null, inOrder, taken }
}

/** The origin of each feature of a service, by its name there, in order. */
function originsIn({ members }: ServiceSpec): ReadonlyMap<string, string> {
  return new Map(
    members.flatMap((member) =>
      member.features.map((feature) => {
        if (member.kind === 'onDemand') return [feature, `"${member.view}"`] as const
        const { view, alias, key } = member.use
        const by = alias === null ? '' : ` by ${key.join(', ')}`
        return [alias === null ? feature : `${alias}__${feature}`, `"${view}"${by}`] as const
      }),
    ),
  )
}

const maxListed = 3

function listed(reasons: readonly string[]): string {
  const more = reasons.length - maxListed
  return `${reasons.slice(0, maxListed).join(', ')}${more > 0 ? `, and ${more} more` : ''}`
}
