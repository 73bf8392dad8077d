import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ModelContract, TensorInfo } from './model-contract.ts'
import { requireSignedModel } from '../signatures.ts'

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
 * @throws LockstepError as `readModelPieces`
 */
export async function readModelBytes(db: Database, model: string, version: number, options: ModelReadOptions = {}): Promise<Buffer> {
  const { length, pieces } = await readModelPieces(db, model, version, options)
  const bytes = Buffer.allocUnsafeSlow(length)
  let at = 0
  for await (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

export interface ModelReadOptions {
  /** Whether to read bytes without a valid signature even if signing keys are set. */
  readonly unsigned?: boolean
}

/**
 * Reads the bytes of a model version piece by piece, so that the model is never complete in memory. Do not use them
 * before the last piece is read: what has changed is known only then.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION` if the version does not exist; `SIGNATURE_INVALID`; after the last piece
 *   `CODE_HASH_MISMATCH` if the bytes have changed since the push
 */
export async function readModelPieces(
  db: Database,
  model: string,
  version: number,
  { unsigned = false }: ModelReadOptions = {},
): Promise<{ readonly length: number; readonly pieces: AsyncIterable<Uint8Array> }> {
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
  return { length: row.length, pieces: checkedPieces(db, found, row.length) }
}

async function* checkedPieces(db: Database, { model, version, sha256 }: ModelVersion, length: number): AsyncIterable<Uint8Array> {
  const hash = createHash('sha256')
  for (let at = 0; at < length; at += pieceBytes) {
    const piece = await readPiece(db, model, version, at)
    hash.update(piece)
    yield piece
  }
  if (hash.digest('hex') === sha256) return
  throw new LockstepError(
    'CODE_HASH_MISMATCH',
    `The stored bytes of the model "${model}" version ${version} do not match their SHA-256, so they were changed outside Lockstep and are not run. Push the model file again.`,
    { details: { model, version } },
  )
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
