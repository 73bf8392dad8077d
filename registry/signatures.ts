import type { Kysely } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Signing } from '../runtime/signing.ts'
import { canonicalJson } from './canonical-json.ts'
import type { Definition } from './definition.ts'
import { displayName } from './definition.ts'
import type { ModelContract } from './models/model-contract.ts'

/**
 * The content that the signature of a definition covers: all of its facts, bound to its kind, name and version. The
 * spec includes the hash of its code.
 */
export function definitionFacts({ kind, name, version, fingerprint, spec, operational }: Definition): unknown[] {
  return ['definition', kind, name, version, fingerprint, canonicalJson(spec), canonicalJson(operational)]
}

/** The signed facts of a model version, and their signature. */
export interface SignedModel {
  readonly model: string
  readonly version: number
  readonly sha256: string
  readonly service: string
  readonly serviceFingerprint: string
  readonly contract: ModelContract
  readonly signature: string | null
}

/**
 * The content that the signature of a model version covers: the SHA-256 of its bytes, and its inputs and outputs, bound
 * to its model and number.
 */
export function modelFacts({ model, version, sha256, service, serviceFingerprint, contract }: SignedModel): unknown[] {
  return ['model', model, version, sha256, service, serviceFingerprint, canonicalJson(contract)]
}

/**
 * @throws LockstepError `SIGNATURE_INVALID` if keys are set and a definition is not signed by any of them
 */
export function requireSigned(signing: Signing | undefined, definitions: readonly Definition[]): void {
  if (signing === undefined) return
  const unsigned = definitions.filter((definition) => !signing.verify(definitionFacts(definition), definition.signature))
  if (unsigned.length > 0) throw unsignedError(unsigned.map(displayName))
}

/** @throws LockstepError `SIGNATURE_INVALID` */
export function requireSignedModel(signing: Signing | undefined, version: SignedModel): void {
  if (signing === undefined || signing.verify(modelFacts(version), version.signature)) return
  throw unsignedError([modelName(version)])
}

export async function signDefinition(
  transaction: Kysely<LockstepTables>,
  signing: Signing | undefined,
  definition: Definition,
): Promise<void> {
  await transaction
    .updateTable('lockstep.definitions')
    .set({ signature: signing?.sign(definitionFacts(definition)) ?? null })
    .where('kind', '=', definition.kind)
    .where('name', '=', definition.name)
    .where('version', '=', definition.version)
    .execute()
}

export async function signModel(transaction: Kysely<LockstepTables>, signing: Signing, version: SignedModel): Promise<void> {
  await transaction
    .updateTable('lockstep.model_versions')
    .set({ signature: signing.sign(modelFacts(version)) })
    .where('model', '=', version.model)
    .where('version', '=', version.version)
    .execute()
}

export function modelName({ model, version }: Pick<SignedModel, 'model' | 'version'>): string {
  return `model version "${model}@${version}"`
}

function unsignedError(what: readonly string[]): LockstepError {
  const [first = '', ...more] = what
  const found =
    more.length === 0
      ? `The ${first} in the registry is not signed by a key of LOCKSTEP_SIGNING_KEY, so it was stored without a key or changed outside Lockstep. It is not run.`
      : `The ${first} and ${more.length} more in the registry are not signed by a key of LOCKSTEP_SIGNING_KEY, so they were stored without a key or changed outside Lockstep. They are not run.`
  return new LockstepError(
    'SIGNATURE_INVALID',
    `${found} Set the key, and apply the definitions file or push the model again; or review what is stored and run "lockstep sign".`,
    { details: { unsigned: what } },
  )
}
