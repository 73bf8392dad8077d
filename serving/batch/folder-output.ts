import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../../kernel/errors.ts'
import { openOutput } from '../../offline/files/dataset-writer.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ByteSink } from '../../runtime/files/file-sink.ts'
import { sha256Of } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { BatchOutput, WrittenBatchPart } from './batch-output.ts'
import type { BatchManifest, BatchSpec } from './batch-spec.ts'
import { batchKind, batchSpec, manifestName, noJob, partName, successName } from './batch-spec.ts'
import { folderClaim } from './folder-claim.ts'
import { batchFiles, createText, isNameTaken, readJson, removePartials } from './folder-files.ts'
import { lockOutput } from './lock-output.ts'

/** Files of a batch that ended this recently may still be removed by a worker that did not know it. */
const leavingSeconds = 60

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
  const [manifestUrl, successUrl] = [`${out}/${manifestName}`, `${out}/${successName}`]
  const claim = folderClaim(db, out, { id, owner: job === noJob ? `process ${randomUUID()}` : `job ${job}` })

  /**
   * Files that an attempt of this plan, or a failed run of the same batch, could not remove are replaced.
   *
   * @throws LockstepError `FILE_EXISTS` for files of other batches, `BUSY` while a worker removes them
   */
  async function requireLeftovers(isComplete: boolean): Promise<void> {
    const [found, manifest] = [await claim.refuseOthers(), await readJson(manifestUrl)]
    if (manifest === null && (await hasEnded(db, out, { seconds: leavingSeconds })))
      throw new LockstepError('BUSY', `A worker still removes files of a batch in "${out}" that has just ended; it is tried again.`)
    if (!isComplete && found !== null && (found.isOwn || (found.id === id && (await hasEnded(db, out, { id }))))) return
    const named = found?.id ?? manifest?.['id']
    const whose = typeof named === 'string' ? `the batch "${named}"` : 'files of a batch'
    throw new LockstepError('FILE_EXISTS', `"${out}" has ${whose} already. Choose another folder, or replace it (--overwrite).`, {
      details: { out },
    })
  }

  /**
   * Removes parts, unless the batch is complete, or was begun again and has them too, or another deployment has taken
   * the folder.
   */
  async function remove(parts: readonly Pick<WrittenBatchPart, 'name' | 'sha256'>[], claimToo = false): Promise<void> {
    const store = await openObjectStore(out)
    await lockOutput(db, out, async (transaction) => {
      if ((await store.head(successUrl)) !== null) return
      const found = await claim.read()
      if (found?.isOurs === false) return
      if ((await readJson(manifestUrl))?.['job'] === job) await store.remove(manifestUrl)
      if (await isTakenOver(transaction, job, request)) return
      await removePartials(out)
      for (const { name, sha256 } of parts) {
        const present = await store.head(`${out}/${name}`)
        if (present !== null && (await sha256Of(store, present)) === sha256) await store.remove(present.url)
      }
      // last: until then it says whose the parts are
      if (claimToo && found?.isOwn === true) await claim.release()
    })
  }

  return {
    async begin() {
      const files = await batchFiles(out)
      if (files.size > 0) {
        if (!overwrite) await requireLeftovers(files.has(successName))
        // of two that remove files of a folder, one waits; what says that the folder is complete goes first
        const store = await openObjectStore(out)
        await lockOutput(db, out, async () => {
          for (const name of new Set([successName, manifestName, ...files.keys()])) await store.remove(`${out}/${name}`)
        })
      }
      await claim.take()
    },
    async part(part, columns) {
      return await openOutput(await openPart(db, out, partName(part, format)), columns, format)
    },
    async complete(manifest) {
      await claim.refuseOthers()
      const isNew = await createText(manifestUrl, `${JSON.stringify(manifest, null, 2)}\n`)
      if (!isNew && (await readJson(manifestUrl))?.['job'] !== job) {
        throw new LockstepError('FILE_EXISTS', `"${manifestUrl}" is of another batch. Choose another folder.`, { details: { out } })
      }
      await requireParts(out, manifest)
      await createText(successUrl, '')
      await claim.release()
      await removePartials(out)
    },
    remove: (parts) => remove(parts),
    clean: (parts) => remove(parts, true),
  }
}

/** A part gets its name when it is sealed. If the name is taken by the same content, that is the part. */
async function openPart(db: Database, out: string, name: string): Promise<ByteSink<Omit<WrittenBatchPart, 'rows'>>> {
  const url = `${out}/${name}`
  const writer = await (await openObjectStore(out)).write(url, { overwrite: false })

  /** The ETag of the part that another worker has written. */
  async function findSame(bytes: number, sha256: string, cause: unknown): Promise<string> {
    const store = await openObjectStore(out)
    const found = await lockOutput(db, out, () => store.head(url))
    if (found === null)
      throw new LockstepError('BUSY', `Another worker has removed "${url}" of a batch that ended; the part is written again.`)
    if (found.bytes === bytes && (await sha256Of(store, found)) === sha256) return found.etag
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `"${url}" exists with other content than this batch has. Another program writes to the folder, or a source has changed rows. Choose another folder.`,
      { cause, details: { url, sha256 } },
    )
  }

  return {
    write: (bytes) => writer.write(bytes),
    abort: () => writer.abort(),
    async seal() {
      const { bytes, sha256 } = await writer.seal()
      try {
        return { name, bytes, sha256, etag: (await writer.commit()).etag }
      } catch (error) {
        await writer.abort()
        if (!isNameTaken(error)) throw error
        return { name, bytes, sha256, etag: await findSame(bytes, sha256, error) }
      }
    },
  }
}

/** Other programs may have removed or replaced parts since they were written. */
async function requireParts(out: string, { id, parts }: BatchManifest): Promise<void> {
  const files = await batchFiles(out)
  const lost = parts.filter(({ name, etag }) => files.get(name) !== etag)
  const [first] = lost
  if (first === undefined) return
  throw new LockstepError(
    'FILE_CHANGED',
    `The batch "${id}" is not complete: of its ${parts.length} files in "${out}", ${lost.length} were removed or replaced since they were written, "${first.name}" among them. Begin it again, in a folder that nothing else writes to.`,
    { details: { out, lost: lost.length, first: first.name } },
  )
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
