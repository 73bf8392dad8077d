import type { Kysely } from 'kysely'
import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Catalog, CatalogModel } from '../catalog.ts'
import { readCatalog } from '../catalog.ts'
import type { ModelBinding } from './model-binding.ts'
import { bindModel } from './model-binding.ts'
import { championAlias } from './model-aliases.ts'
import type { ModelContract } from './model-contract.ts'
import { recordModelEvent } from './model-events.ts'
import type { ModelVersion } from './model-versions.ts'
import { readModelVersions } from './model-versions.ts'
import { checkAlias } from './pick-version.ts'
import type { AliasChange } from './promote.ts'
import { pointAlias } from './promote.ts'
import { haveSameFeatures, withDeclaredInputs } from './declared-inputs.ts'
import { bumpRevision, lockRegistry } from '../revision.ts'
import { sha256 } from '../sha256.ts'
import { signModel } from '../signatures.ts'
import { checkTrainedOn, findTrainingSet, trainingSetOf } from './trained-features.ts'

export interface ModelPush {
  readonly model: string
  readonly bytes: Uint8Array
  /** The result of `inspectModel` for the bytes. */
  readonly contract: ModelContract
  /** Any metadata to keep with the version; JSON. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** Its evaluation metrics, by name. */
  readonly metrics?: Readonly<Record<string, number>>
  /** Its training parameters, by name; JSON. */
  readonly params?: Readonly<Record<string, unknown>>
  /** The id of its training set, or a unique prefix of the id. */
  readonly dataset?: string
  /** Accepts a model that was trained on other features than it is served with. */
  readonly datasetMismatch?: boolean
  readonly gitCommit?: string
  /** Who pushes. */
  readonly actor?: string
  /** The alias to point at the version. `champion` serves it. */
  readonly alias?: string
  readonly reason?: string | undefined
  /** Finds the version that an earlier attempt of this push has stored, whatever its bytes. Absent: there is none. */
  readonly isEarlier?: (version: ModelVersion) => boolean
  /** The id of the HTTP request that pushes. */
  readonly requestId?: string | undefined
}

export interface PushedModel {
  readonly version: ModelVersion
  /**
   * False if the same bytes were already pushed for the same feature service, with the same features for each input.
   * The result is then that version with its own metadata.
   */
  readonly created: boolean
  readonly binding: ModelBinding
  /** The change of the alias; null: the push named no alias. */
  readonly alias: Omit<AliasChange, 'revision' | 'pinned'> | null
  /** Notes for the user that prevent nothing. */
  readonly notes: readonly string[]
}

/**
 * Stores a model file as the next version of a declared model. It first checks that the model's inputs and outputs fit
 * its feature service. Concurrent pushes get different versions. An existing champion stays the served version.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`, `INVALID_NAME`, `DATASET_MISMATCH`
 */
export async function pushModel(db: Database, push: ModelPush): Promise<PushedModel> {
  const hash = sha256(push.bytes)
  if (push.alias !== undefined) checkAlias(push.alias)
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const catalog = await readCatalog(transaction, db.signing)
    const { model, service, contract, binding } = bindPush(catalog, push)
    const dataset = push.dataset === undefined ? null : await findTrainingSet(transaction, push.dataset)
    const by = { actor: push.actor ?? 'unknown', reason: push.reason, requestId: push.requestId }
    const isSame = (version: ModelVersion): boolean =>
      version.sha256 === hash &&
      version.serviceFingerprint === service.fingerprint &&
      version.service === service.id &&
      haveSameFeatures(version.contract, contract)
    const same = model.versions.find(push.isEarlier ?? (() => false)) ?? model.versions.find(isSame)
    const trainedOn = dataset ?? (same === undefined ? null : await trainingSetOf(transaction, same))
    const served = { model: push.model, service: service.id, serviceFingerprint: service.fingerprint, binding }
    const how = { allowed: push.datasetMismatch === true, allow: 'push it with --dataset-mismatch' }
    const trained = trainedOn === null && same !== undefined ? [] : await checkTrainedOn(transaction, trainedOn, served, how)
    const notes = [
      ...trained,
      ...(same === undefined ? [] : keptNotes({ ...push, dataset: dataset?.id }, same)),
      ...(same === undefined || push.alias === championAlias ? [] : newestNotes(model, same)),
    ]
    const number = same?.version ?? (await newestNumber(transaction, model)) + 1
    if (same === undefined) {
      await insertVersion(transaction, { ...push, contract }, { version: number, hash, service, dataset: dataset?.id ?? null })
      await recordModelEvent(transaction, { model: push.model, action: 'push', alias: null, from: null, to: number, sha256: hash, ...by })
    }
    if (db.signing !== undefined) {
      // also signs a version that was pushed without a key, because the bytes are equal
      const stored = (await readModelVersions(transaction, push.model)).find((each) => each.version === number)
      if (stored !== undefined) await signModel(transaction, db.signing, stored)
    }
    const alias = push.alias === undefined ? null : await pointAlias(transaction, model, push.alias, number, by)
    if (same === undefined || alias?.changed === true) await bumpRevision(transaction)
    const version = same ?? (await readModelVersions(transaction, push.model)).find((each) => each.version === number)
    if (version === undefined)
      throw new LockstepError('INTERNAL', `The model "${push.model}" version ${number} was not stored; push it again.`)
    return { version, created: same === undefined, binding, alias, notes }
  })
}

/**
 * How the file of a push is served, as its model is declared now.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`, or why the service is broken
 */
export function bindPush(
  catalog: Pick<Catalog, 'model' | 'service'>,
  push: Pick<ModelPush, 'model' | 'contract'>,
): {
  readonly model: CatalogModel
  readonly service: ServicePlan
  /** With the features that the model declares for each input. */
  readonly contract: ModelContract
  readonly binding: ModelBinding
} {
  const model = catalog.model(push.model)
  const service = catalog.service(model.spec.service)
  const contract = withDeclaredInputs(push.contract, model.spec)
  return { model, service, contract, binding: bindModel(service, contract, model.spec) }
}

/** The greatest version number, including deleted versions, so that no number is reused; 0: none was pushed. */
async function newestNumber(transaction: Kysely<LockstepTables>, { name, versions }: CatalogModel): Promise<number> {
  const deleted = await transaction
    .selectFrom('lockstep.model_events')
    .select(({ fn }) => fn.max('from_version').as('version'))
    .where('model', '=', name)
    .where('action', '=', 'remove')
    .where('alias', 'is', null)
    .executeTakeFirst()
  return Math.max(versions.at(-1)?.version ?? 0, deleted?.version ?? 0)
}

async function insertVersion(
  transaction: Kysely<LockstepTables>,
  push: ModelPush,
  made: { readonly version: number; readonly hash: string; readonly service: ServicePlan; readonly dataset: string | null },
): Promise<void> {
  await transaction
    .insertInto('lockstep.model_versions')
    .values({
      model: push.model,
      version: made.version,
      bytes: Buffer.from(push.bytes.buffer, push.bytes.byteOffset, push.bytes.byteLength),
      sha256: made.hash,
      size_bytes: push.bytes.byteLength,
      inputs: JSON.stringify(push.contract.inputs),
      outputs: JSON.stringify(push.contract.outputs),
      metadata: JSON.stringify(push.metadata ?? {}),
      metrics: JSON.stringify(push.metrics ?? {}),
      params: JSON.stringify(push.params ?? {}),
      dataset: made.dataset,
      git_commit: push.gitCommit ?? null,
      pushed_by: push.actor ?? null,
      service_name: made.service.name,
      service_version: made.service.version,
      service_fingerprint: made.service.fingerprint,
    })
    .execute()
}

/** Notes that a repeated push does not change the version that answers requests. */
function newestNotes({ name, versions, aliases, pin }: CatalogModel, { version }: ModelVersion): string[] {
  const newest = versions.at(-1)?.version
  if (newest === version || pin !== null || aliases.has(championAlias)) return []
  return [
    `version ${newest} still answers requests, as it is the newest. To serve version ${version}: lockstep model promote ${name}@${version}`,
  ]
}

/** Notes the values of this push that are not stored, because a version keeps those of its first push. */
function keptNotes(
  { metadata, metrics, params, dataset, gitCommit }: Omit<ModelPush, 'dataset'> & { readonly dataset: string | undefined },
  { version, ...kept }: ModelVersion,
): string[] {
  const sentences = [
    ['metrics', metrics, kept.metrics],
    ['params', params, kept.params],
    ['metadata', metadata, kept.metadata],
  ] as const
  const names: string[] = sentences.flatMap(([name, now, then]) =>
    now === undefined || Object.keys(now).length === 0 || isDeepStrictEqual(JSON.parse(JSON.stringify(now)), then) ? [] : [name],
  )
  if (dataset !== undefined && dataset !== kept.dataset) names.push('dataset')
  if (gitCommit !== undefined && gitCommit !== kept.gitCommit) names.push('git commit')
  if (names.length === 0) return []
  return [`not stored, as version ${version} keeps what it was pushed with: ${names.join(', ')} of this push`]
}
