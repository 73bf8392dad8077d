import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/database.ts'
import type { ModelContract, TensorInfo } from './model-contract.ts'
import { requireSignedModel } from './signatures.ts'

/** One pushed version of a model, without its bytes. */
export interface ModelVersion {
  readonly model: string
  readonly version: number
  /** SHA-256 of the bytes, hex. */
  readonly sha256: string
  readonly sizeBytes: number
  readonly contract: ModelContract
  /** Metadata from the push. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** Its evaluation metrics, by name. */
  readonly metrics: Readonly<Record<string, number>>
  /** Its training parameters, by name; JSON. */
  readonly params: Readonly<Record<string, unknown>>
  /** The id of its training set. */
  readonly dataset: string | null
  readonly gitCommit: string | null
  /** null: not known. */
  readonly pushedBy: string | null
  /** The feature service whose features it takes. */
  readonly service: DefinitionId
  /** The service's fingerprint when the version was pushed. */
  readonly serviceFingerprint: string
  readonly createdAt: Date
  /** null: it was pushed without a signing key. */
  readonly signature: string | null
}

/** The versions of a model, or of all models, oldest first. */
export async function listModelVersions(db: Database, model?: string): Promise<ModelVersion[]> {
  return await readModelVersions(db.kysely, model)
}

export async function readModelVersions(handle: Kysely<LockstepTables>, model?: string): Promise<ModelVersion[]> {
  const rows = await handle
    .selectFrom('lockstep.model_versions')
    .select([
      'model',
      'version',
      'sha256',
      'size_bytes',
      'inputs',
      'outputs',
      'metadata',
      'metrics',
      'params',
      'dataset',
      'git_commit',
      'pushed_by',
      'service_name',
      'service_version',
      'service_fingerprint',
      'created_at',
      'signature',
    ])
    .$if(model !== undefined, (query) => query.where('model', '=', model ?? ''))
    .orderBy('model')
    .orderBy('version')
    .execute()
  return rows.map((row) => ({
    model: row.model,
    version: row.version,
    sha256: row.sha256,
    sizeBytes: Number(row.size_bytes),
    // only pushModel writes these columns
    contract: { inputs: row.inputs as TensorInfo[], outputs: row.outputs as TensorInfo[] },
    metadata: row.metadata as Record<string, unknown>,
    metrics: row.metrics as Record<string, number>,
    params: row.params as Record<string, unknown>,
    dataset: row.dataset,
    gitCommit: row.git_commit,
    pushedBy: row.pushed_by,
    service: `${row.service_name}@${row.service_version}`,
    serviceFingerprint: row.service_fingerprint,
    createdAt: row.created_at,
    signature: row.signature,
  }))
}

/**
 * Reads the bytes of a model version.
 *
 * @param options.unsigned whether to read bytes without a valid signature even if signing keys are set
 * @throws LockstepError `UNKNOWN_DEFINITION` if the version does not exist; `CODE_HASH_MISMATCH` if the bytes have
 *   changed since the push; `SIGNATURE_INVALID`
 */
export async function readModelBytes(
  db: Database,
  model: string,
  version: number,
  { unsigned = false }: { readonly unsigned?: boolean } = {},
): Promise<Buffer> {
  // the bytes are checked against the signed hash, because version and bytes are read separately
  const found = (await readModelVersions(db.kysely, model)).find((each) => each.version === version)
  if (!unsigned && found !== undefined) requireSignedModel(db.signing, found)
  const row = await db.kysely
    .selectFrom('lockstep.model_versions')
    .select(sql<number>`octet_length(bytes)`.as('length'))
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  if (found === undefined || row === undefined) {
    throw new LockstepError(
      'UNKNOWN_DEFINITION',
      `The model "${model}" has no version ${version}; "lockstep model list ${model}" lists the versions.`,
      {
        details: { model, version },
      },
    )
  }
  const bytes = Buffer.allocUnsafeSlow(row.length)
  const hash = createHash('sha256')
  for (let at = 0; at < row.length; at += pieceBytes) {
    const piece = await readPiece(db, model, version, at)
    bytes.set(piece, at)
    hash.update(piece)
  }
  if (hash.digest('hex') !== found.sha256) {
    throw new LockstepError(
      'CODE_HASH_MISMATCH',
      `The stored bytes of the model "${model}" version ${version} do not match their SHA-256, so they were changed outside Lockstep and are not run. Push the model file again.`,
      { details: { model, version } },
    )
  }
  return bytes
}

/** Bytes arrive as text and may be large, so they are read in pieces that do not block the event loop. */
const pieceBytes = 128 * 1024

async function readPiece(db: Database, model: string, version: number, at: number): Promise<Uint8Array> {
  const row = await db.kysely
    .selectFrom('lockstep.model_versions')
    .select(sql<Uint8Array>`substring(bytes from ${at + 1}::int for ${pieceBytes}::int)`.as('bytes'))
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  return row?.bytes ?? new Uint8Array(0)
}
