import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../../kernel/errors.ts'
import { openOutput } from '../../offline/files/dataset-writer.ts'
import type { Database } from '../../runtime/database.ts'
import type { ByteSink } from '../../runtime/files/file-sink.ts'
import type { StoredObject } from '../../runtime/storage/object-store.ts'
import { sha256Of } from '../../runtime/storage/object-store.ts'
import { storeOf } from '../../runtime/storage/open-store.ts'
import type { BatchOutput, WrittenPart } from './batch-output.ts'
import type { BatchManifest, BatchSpec } from './batch-spec.ts'
import { batchKind, batchSpec, manifestName, partName, successName } from './batch-spec.ts'
import { lockOutput } from './lock-output.ts'

/** Files of a batch that ended this recently may still be removed by a worker that did not know it. */
const leavingSeconds = 60

/**
 * The folder of a batch, in object storage or on a disk:
 *
 *     part-00000.parquet, part-00001.parquet …   then _manifest.json   then _SUCCESS, which is empty
 *
 * Each name gets its content once, by a write on the condition that the name is free. A second writer of the same bytes
 * finds them there. So two workers on one part do no harm, and a batch without `_SUCCESS` is not complete.
 */
export function createFolderOutput(db: Database, job: number, { id, request }: Pick<BatchSpec, 'id' | 'request'>): BatchOutput {
  const { out, overwrite } = request
  const format = request.format === 'table' ? 'parquet' : request.format
  const at = (name: string): string => `${out}/${name}`

  async function put(name: string, text: string): Promise<StoredObject | null> {
    const writer = await (await storeOf(out)).write(at(name), { overwrite: false })
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

  async function manifestThere(): Promise<{ readonly job?: unknown; readonly id?: unknown } | null> {
    const store = await storeOf(out)
    const found = await store.head(at(manifestName))
    if (found === null) return null
    try {
      return JSON.parse(Buffer.from(await store.read(found.url, { from: 0, to: found.bytes }, found.etag)).toString()) as object
    } catch {
      return {}
    }
  }

  async function openPart(name: string): Promise<ByteSink<Omit<WrittenPart, 'rows'>>> {
    const store = await storeOf(out)
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
    const store = await storeOf(out)
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

  /** Other programs may have removed or replaced parts since they were written. */
  async function requireParts({ id, parts }: BatchManifest): Promise<void> {
    const there = new Map<string, string>()
    for await (const { url, etag } of (await storeOf(out)).list(`${out}/`)) there.set(url.slice(out.length + 1), etag)
    const lost = parts.filter(({ name, etag }) => there.get(name) !== etag)
    const [first] = lost
    if (first === undefined) return
    throw new LockstepError(
      'FILE_CHANGED',
      `The batch "${id}" is not complete: of its ${parts.length} files in "${out}", ${lost.length} were removed or replaced since they were written, "${first.name}" among them. Begin it again, in a folder that nothing else writes to.`,
      { details: { out, lost: lost.length, first: first.name } },
    )
  }

  /** Removes parts, unless the batch is complete, or was begun again and has them too. */
  async function remove(parts: readonly Pick<WrittenPart, 'name' | 'sha256'>[]): Promise<void> {
    const store = await storeOf(out)
    await lockOutput(db, out, async (transaction) => {
      if ((await store.head(at(successName))) !== null) return
      if ((await manifestThere())?.job === job) await store.remove(at(manifestName))
      if (await isTakenOver(transaction, job, request)) return
      for (const { name, sha256 } of parts) {
        const there = await store.head(at(name))
        if (there !== null && (await sha256Of(store, there)) === sha256) await store.remove(there.url)
      }
    })
  }

  return {
    async begin() {
      const store = await storeOf(out)
      const there: string[] = []
      for await (const { url } of store.list(`${out}/`)) if (isOfBatch(url.slice(out.length + 1))) there.push(url)
      if (there.length === 0) return
      const manifest = await manifestThere()
      if (!overwrite && manifest === null && (await hasEnded(db, out, { seconds: leavingSeconds })))
        throw new LockstepError('BUSY', `A worker still removes files of a batch in "${out}" that has just ended; it is tried again.`)
      // what a failed run of the same batch could not remove, for example without access to the store, is replaced
      const isOwn = (manifest === null || manifest.id === id) && !there.includes(at(successName))
      const isLeft = isOwn && (await hasEnded(db, out, { id }))
      if (!overwrite && !isLeft) {
        const whose = typeof manifest?.id === 'string' ? `the batch "${manifest.id}"` : 'files of a batch'
        throw new LockstepError('FILE_EXISTS', `"${out}" has ${whose} already. Choose another folder, or replace it (--overwrite).`, {
          details: { out },
        })
      }
      // of two that remove files of a folder, one waits
      await lockOutput(db, out, async () => {
        // what says that the folder is complete goes first
        for (const name of [successName, manifestName]) await store.remove(at(name))
        for (const url of there) await store.remove(url)
      })
    },
    async part(part, columns) {
      const name = partName(part, format)
      return await openOutput(await openPart(name), columns, format)
    },
    async complete(manifest) {
      if ((await put(manifestName, `${JSON.stringify(manifest, null, 2)}\n`)) === null && (await manifestThere())?.job !== job) {
        throw new LockstepError('FILE_EXISTS', `"${at(manifestName)}" is of another batch. Choose another folder.`, { details: { out } })
      }
      await requireParts(manifest)
      await put(successName, '')
    },
    remove,
    clean: remove,
  }
}

function isOfBatch(name: string): boolean {
  return /^part-\d{5,}\.(parquet|csv|jsonl)$/.test(name) || name === manifestName || name === successName
}

/** Whether the same request has a newer job in the folder, which has gone on to its parts. */
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
async function hasEnded(
  { kysely }: Database,
  out: string,
  { id, seconds }: { readonly id?: string; readonly seconds?: number },
): Promise<boolean> {
  const ended = await kysely
    .selectFrom('lockstep.jobs')
    .select('spec')
    .where('kind', '=', batchKind)
    .where('state', 'in', ['failed', 'cancelled'])
    .$if(id !== undefined, (query) => query.where('key', '=', id ?? ''))
    .$if(seconds !== undefined, (query) => query.where('finished_at', '>', new Date(Date.now() - (seconds ?? 0) * 1000)))
    .execute()
  return ended.some(({ spec }) => batchSpec.safeParse(spec).data?.request.out === out)
}
