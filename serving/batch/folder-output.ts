import { createHash, randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../../kernel/errors.ts'
import { openOutput } from '../../offline/files/dataset-writer.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ByteSink } from '../../runtime/files/file-sink.ts'
import { removeStalePartials } from '../../runtime/files/partial-file.ts'
import type { StoredObject } from '../../runtime/storage/object-store.ts'
import { isStoredObject, sha256Of } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { BatchOutput, WrittenBatchPart } from './batch-output.ts'
import type { BatchManifest, BatchSpec } from './batch-spec.ts'
import { batchKind, batchSpec, claimName, noJob, manifestName, partName, successName } from './batch-spec.ts'
import { lockOutput } from './lock-output.ts'

/** Files of a batch that ended this recently may still be removed by a worker that did not know it. */
const leavingSeconds = 60

/** The owner of a folder's files until the batch is complete. */
interface Claim {
  /** Tells deployments apart: each has a registry. */
  readonly registry: string
  /** Of the batch. */
  readonly id: string
  /** The job, or the one process that writes. */
  readonly owner: string
}

/**
 * The folder of a batch, in object storage or on a disk:
 *
 *     _claim.json   then part-00000.parquet, part-00001.parquet …   then _manifest.json   then _SUCCESS, which is empty
 *
 * Each name gets its content once, by a write on the condition that the name is free. A second writer of the same bytes
 * finds them there. So two workers on one part do no harm, and a batch without `_SUCCESS` is not complete. The claim
 * keeps batches of other deployments out of the folder. It is removed when the batch has ended.
 */
export function createFolderOutput(db: Database, job: number, { id, request }: Pick<BatchSpec, 'id' | 'request'>): BatchOutput {
  const { out, overwrite } = request
  const format = request.format === 'table' ? 'parquet' : request.format
  const owner = job === noJob ? `process ${randomUUID()}` : `job ${job}`
  const at = (name: string): string => `${out}/${name}`

  async function put(name: string, text: string): Promise<StoredObject | null> {
    const writer = await (await openObjectStore(out)).write(at(name), { overwrite: false })
    try {
      await writer.write(Buffer.from(text))
      await writer.seal()
      return await writer.commit()
    } catch (error) {
      await writer.abort()
      if (error instanceof LockstepError && error.code === 'FILE_EXISTS') return null
      throw error
    }
  }

  /** @returns null: there is no such file */
  async function readJson(name: string): Promise<{ readonly [member: string]: unknown } | null> {
    const store = await openObjectStore(out)
    const found = await store.head(at(name))
    if (found === null) return null
    try {
      return JSON.parse(Buffer.from(await store.read(found.url, { from: 0, to: found.bytes }, found.etag)).toString()) as {
        readonly [member: string]: unknown
      }
    } catch {
      return {}
    }
  }

  const manifestThere = () => readJson(manifestName)

  /** @returns null: nobody has claimed the folder */
  async function claimThere(): Promise<{ readonly id: unknown; readonly isOurs: boolean; readonly isOwn: boolean } | null> {
    const claim = await readJson(claimName)
    if (claim === null) return null
    const isOurs = claim['registry'] === (await registryKey(db))
    return { id: claim['id'], isOurs, isOwn: isOurs && claim['owner'] === owner }
  }

  /** @throws LockstepError `FILE_EXISTS` if a batch of another deployment has the folder */
  async function refuseOthers(): Promise<void> {
    const claim = await claimThere()
    if (claim?.isOurs === false) throw ofOthers(out, claim.id)
  }

  /** The URLs of the folder's files that are of a batch. */
  async function filesThere(): Promise<string[]> {
    const there: string[] = []
    for await (const { url } of (await openObjectStore(out)).list(`${out}/`)) if (isOfBatch(url.slice(out.length + 1))) there.push(url)
    return there
  }

  /**
   * What an attempt of this plan, or a failed run of the same batch, could not remove is replaced.
   *
   * @throws LockstepError `FILE_EXISTS` for files of other batches, `BUSY` while a worker removes them
   */
  async function requireLeftovers(there: readonly string[]): Promise<void> {
    const [claim, manifest] = [await claimThere(), await manifestThere()]
    if (claim?.isOurs === false) throw ofOthers(out, claim.id)
    if (manifest === null && (await hasEnded(db, out, { seconds: leavingSeconds })))
      throw new LockstepError('BUSY', `A worker still removes files of a batch in "${out}" that has just ended; it is tried again.`)
    const isComplete = there.includes(at(successName))
    if (!isComplete && claim !== null && (claim.isOwn || (claim.id === id && (await hasEnded(db, out, { id }))))) return
    const named = claim?.id ?? manifest?.['id']
    const whose = typeof named === 'string' ? `the batch "${named}"` : 'files of a batch'
    throw new LockstepError('FILE_EXISTS', `"${out}" has ${whose} already. Choose another folder, or replace it (--overwrite).`, {
      details: { out },
    })
  }

  /** Of two that remove files of a folder, one waits. */
  async function clear(there: readonly string[]): Promise<void> {
    const store = await openObjectStore(out)
    await lockOutput(db, out, async () => {
      // what says that the folder is complete goes first
      for (const name of [successName, manifestName]) await store.remove(at(name))
      for (const url of there) await store.remove(url)
    })
  }

  async function claimFolder(): Promise<void> {
    const claim: Claim = { registry: await registryKey(db), id, owner }
    // another deployment may have been faster
    if ((await put(claimName, `${JSON.stringify(claim)}\n`)) === null) await refuseOthers()
  }

  async function openPart(name: string): Promise<ByteSink<Omit<WrittenBatchPart, 'rows'>>> {
    const store = await openObjectStore(out)
    const writer = await store.write(at(name), { overwrite: false })
    return {
      write: (bytes) => writer.write(bytes),
      abort: () => writer.abort(),
      async seal() {
        const { bytes, sha256 } = await writer.seal()
        try {
          return { name, bytes, sha256, etag: (await writer.commit()).etag }
        } catch (error) {
          await writer.abort()
          if (!(error instanceof LockstepError) || error.code !== 'FILE_EXISTS') throw error
          return { name, bytes, sha256, etag: await findThere(name, { bytes, sha256 }, error) }
        }
      },
    }
  }

  /** Takes a part that is there already, if it has the same content. @returns its ETag */
  async function findThere(name: string, { bytes, sha256 }: { readonly bytes: number; readonly sha256: string }, cause: unknown) {
    const store = await openObjectStore(out)
    const there = await lockOutput(db, out, () => store.head(at(name)))
    if (there === null)
      throw new LockstepError('BUSY', `Another worker has removed "${at(name)}" of a batch that ended; the part is written again.`)
    if (there.bytes === bytes && (await sha256Of(store, there)) === sha256) return there.etag
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `"${at(name)}" exists with other content than this batch has. Another program writes to the folder, or a source has changed rows. Choose another folder.`,
      { cause, details: { url: at(name), sha256 } },
    )
  }

  /** Killed workers leave unfinished files in a folder on a disk. */
  async function removePartials(): Promise<void> {
    if (!isStoredObject(out)) await removeStalePartials(fileURLToPath(out), isOfBatch)
  }

  /** Other programs may have removed or replaced parts since they were written. */
  async function requireParts({ id, parts }: BatchManifest): Promise<void> {
    const there = new Map<string, string>()
    for await (const { url, etag } of (await openObjectStore(out)).list(`${out}/`)) there.set(url.slice(out.length + 1), etag)
    const lost = parts.filter(({ name, etag }) => there.get(name) !== etag)
    const [first] = lost
    if (first === undefined) return
    throw new LockstepError(
      'FILE_CHANGED',
      `The batch "${id}" is not complete: of its ${parts.length} files in "${out}", ${lost.length} were removed or replaced since they were written, "${first.name}" among them. Begin it again, in a folder that nothing else writes to.`,
      { details: { out, lost: lost.length, first: first.name } },
    )
  }

  /**
   * Removes parts, unless the batch is complete, or was begun again and has them too, or another deployment has taken
   * the folder.
   */
  async function remove(parts: readonly Pick<WrittenBatchPart, 'name' | 'sha256'>[], claimToo = false): Promise<void> {
    const store = await openObjectStore(out)
    await lockOutput(db, out, async (transaction) => {
      if ((await store.head(at(successName))) !== null) return
      const claim = await claimThere()
      if (claim?.isOurs === false) return
      if ((await manifestThere())?.['job'] === job) await store.remove(at(manifestName))
      if (await isTakenOver(transaction, job, request)) return
      await removePartials()
      for (const { name, sha256 } of parts) {
        const there = await store.head(at(name))
        if (there !== null && (await sha256Of(store, there)) === sha256) await store.remove(there.url)
      }
      // last: until then it says whose the parts are
      if (claimToo && claim?.isOwn === true) await store.remove(at(claimName))
    })
  }

  return {
    async begin() {
      const there = await filesThere()
      if (there.length > 0) {
        if (!overwrite) await requireLeftovers(there)
        await clear(there)
      }
      await claimFolder()
    },
    async part(part, columns) {
      const name = partName(part, format)
      return await openOutput(await openPart(name), columns, format)
    },
    async complete(manifest) {
      await refuseOthers()
      if ((await put(manifestName, `${JSON.stringify(manifest, null, 2)}\n`)) === null && (await manifestThere())?.['job'] !== job) {
        throw new LockstepError('FILE_EXISTS', `"${at(manifestName)}" is of another batch. Choose another folder.`, { details: { out } })
      }
      await requireParts(manifest)
      await put(successName, '')
      await (await openObjectStore(out)).remove(at(claimName))
      await removePartials()
    },
    remove: (parts) => remove(parts),
    clean: (parts) => remove(parts, true),
  }
}

function isOfBatch(name: string): boolean {
  return /^part-\d{5,}\.(parquet|csv|jsonl)$/.test(name) || [claimName, manifestName, successName].includes(name)
}

function ofOthers(out: string, id: unknown): LockstepError {
  return new LockstepError(
    'FILE_EXISTS',
    `"${out}" has files of the batch "${String(id)}" of another deployment of Lockstep, which may still run. Choose another folder. If that batch has ended, replace it (--overwrite).`,
    { details: { out, id } },
  )
}

/** Names the registry to others, without its salt. */
async function registryKey({ kysely }: Pick<Database, 'kysely'>): Promise<string> {
  const { salt } = await kysely.selectFrom('lockstep.installation').select('salt').executeTakeFirstOrThrow()
  return createHash('sha256').update(salt).update('batches').digest('hex').slice(0, 12)
}

/** Whether the same request has a newer job in the folder, which has begun its parts. */
async function isTakenOver(kysely: Database['kysely'], job: number, request: BatchSpec['request']): Promise<boolean> {
  const newer = await kysely
    .selectFrom('lockstep.jobs')
    .select('spec')
    .where('kind', '=', batchKind)
    .where('id', '>', String(job))
    .where('state', 'in', ['running', 'done'])
    .where('chunks', '>', 0)
    .execute()
  return newer.some(({ spec }) => {
    const other = batchSpec.safeParse(spec).data?.request
    return isDeepStrictEqual({ ...other, overwrite: false }, { ...request, overwrite: false })
  })
}

/** Whether a batch that wrote to the folder has failed or was cancelled: that of an id, or one recently. */
async function hasEnded(db: Database, out: string, { id, seconds }: { readonly id?: string; readonly seconds?: number }): Promise<boolean> {
  // by the clock that wrote the time: that of a worker may differ
  const ended = await db.query<{ readonly spec: unknown }>(
    `SELECT spec FROM lockstep.jobs WHERE kind = $1 AND state IN ('failed', 'cancelled') AND ($2::text IS NULL OR key = $2)
       AND ($3::float8 IS NULL OR finished_at > now() - $3 * interval '1 second')`,
    [batchKind, id ?? null, seconds ?? null],
  )
  return ended.some(({ spec }) => batchSpec.safeParse(spec).data?.request.out === out)
}
