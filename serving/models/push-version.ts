import { quantizesByRun, quantizesByRunNote } from '../../inference/dependent-rows.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { trialEnds } from '../../inference/require-finished-trial.ts'
import type { ZipMap } from '../../inference/zip-maps.ts'
import { zipMapsOf } from '../../inference/zip-maps.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { notTried } from '../../registry/models/load-on-servers.ts'
import { championAlias, readModelAliases } from '../../registry/models/model-aliases.ts'
import type { TensorInfo } from '../../registry/models/model-contract.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { ModelPush } from '../../registry/models/models.ts'
import { bindPush, pushModel } from '../../registry/models/models.ts'
import type { AliasChange } from '../../registry/models/promote.ts'
import type { Database } from '../../runtime/postgres/database.ts'

export interface VersionPush extends Omit<ModelPush, 'contract'> {
  /** The name of the file, for messages. */
  readonly file: string
  /** Whether to serve a version whose trial run on made-up rows does not end. */
  readonly untried: boolean
}

/** A version as JSON, and what its push changed. */
export interface PushReport extends Omit<ModelVersion, 'contract' | 'createdAt'> {
  readonly service: DefinitionId
  /** RFC 3339. */
  readonly createdAt: string
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  /** False if the same file was pushed before. */
  readonly created: boolean
  readonly unusedFeatures: readonly string[]
  /** null: the push named no alias. */
  readonly alias: Omit<AliasChange, 'revision' | 'pinned'> | null
  /** null: there is none, and the newest version answers. */
  readonly champion: number | null
  readonly notes: readonly string[]
}

/**
 * Inspects a model file and stores it as a version. A version that an alias is to point at is tried first.
 *
 * @throws LockstepError `MODEL_INVALID`, `NOT_PROMOTABLE`, and what `pushModel` throws
 */
export async function pushVersion(db: Database, { file, untried, ...push }: VersionPush): Promise<PushReport> {
  const contract = await inspectModel(push.bytes, { file })
  if (push.alias !== undefined && !untried) {
    const { model, binding } = bindPush(await loadCatalog(db), { model: push.model, contract })
    if (!(await trialEnds(push.bytes, binding, model.operational))) throw notTried(push.model)
  }
  const { version, created, binding, alias, notes } = await pushModel(db, { ...push, contract })
  const aliases = await readModelAliases(db.kysely, version.model)
  const {
    contract: { inputs, outputs },
    createdAt,
    ...facts
  } = version
  return {
    ...facts,
    createdAt: createdAt.toISOString(),
    inputs,
    outputs,
    created,
    unusedFeatures: binding.unused,
    alias,
    champion: aliases.find((each) => each.alias === championAlias)?.version ?? null,
    notes: [...notes, ...zipMapsOf(push.bytes).map(zipMapNote), ...(quantizesByRun(push.bytes) ? [quantizesByRunNote] : [])],
  }
}

function zipMapNote({ output, classes }: ZipMap): string {
  return `the output "${output}" is a map from class to probability (ZipMap). It is answered as the tensor of probabilities, in this order: ${classes.join(', ')}`
}
