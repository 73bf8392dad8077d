import type { Kysely } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/database.ts'
import { loadCatalog } from './catalog.ts'
import type { ModelBinding } from './model-binding.ts'
import { bindModel } from './model-binding.ts'
import type { ModelContract } from './model-contract.ts'
import type { ModelVersion } from './model-versions.ts'
import { readModelVersions } from './model-versions.ts'
import { bumpRevision, lockRegistry } from './revision.ts'
import { sha256 } from './sha256.ts'

export interface ModelPush {
  readonly model: string
  readonly bytes: Uint8Array
  /** What `inspectModel` reads from the bytes. */
  readonly contract: ModelContract
  /** Anything worth keeping with the version; JSON. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface PushedModel {
  readonly version: ModelVersion
  /** False where the same bytes were pushed for the same feature service before: then this is that version, with its own metadata. */
  readonly created: boolean
  readonly binding: ModelBinding
}

/**
 * Stores a model file as the next version of a declared model, once its inputs and outputs are found to fit the model's feature service. Pushes at
 * the same time get versions of their own.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`
 */
export async function pushModel(db: Database, push: ModelPush): Promise<PushedModel> {
  const catalog = await loadCatalog(db)
  const { spec } = catalog.model(push.model)
  const service = catalog.service(spec.service)
  const binding = bindModel(service, push.contract, spec)
  const hash = sha256(push.bytes)
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    await checkModelIs(transaction, push.model, spec.service)
    const before = await readModelVersions(transaction, push.model)
    const same = before.find(
      (version) => version.sha256 === hash && version.serviceFingerprint === service.fingerprint && version.service === service.id,
    )
    if (same !== undefined) return { version: same, created: false, binding }
    const number = (before.at(-1)?.version ?? 0) + 1
    await transaction
      .insertInto('lockstep.model_versions')
      .values({
        model: push.model,
        version: number,
        bytes: Buffer.from(push.bytes.buffer, push.bytes.byteOffset, push.bytes.byteLength),
        sha256: hash,
        size_bytes: push.bytes.byteLength,
        inputs: JSON.stringify(push.contract.inputs),
        outputs: JSON.stringify(push.contract.outputs),
        metadata: JSON.stringify(push.metadata ?? {}),
        service_name: service.name,
        service_version: service.version,
        service_fingerprint: service.fingerprint,
      })
      .execute()
    await bumpRevision(transaction)
    const version = (await readModelVersions(transaction, push.model)).find((each) => each.version === number)
    if (version === undefined)
      throw new LockstepError('INTERNAL', `The model "${push.model}" version ${number} was not stored; push it again.`)
    return { version, created: true, binding }
  })
}

/** Under the registry's lock: that the model still is what the push was checked against. */
async function checkModelIs(transaction: Kysely<LockstepTables>, model: string, service: string): Promise<void> {
  const row = await transaction
    .selectFrom('lockstep.definitions')
    .select('spec')
    .where('kind', '=', 'model')
    .where('name', '=', model)
    .where('retired_at', 'is', null)
    .executeTakeFirst()
  const spec: unknown = row?.spec
  if (typeof spec === 'object' && spec !== null && 'service' in spec && spec.service === service) return
  throw new LockstepError('UNKNOWN_DEFINITION', `The model "${model}" was changed or pruned while its file was checked; push it again.`, {
    details: { model },
  })
}
