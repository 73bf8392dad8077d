import { LockstepError } from '../../kernel/errors.ts'
import type { StoredObject } from '../../runtime/storage/object-store.ts'
import { sha256Of } from '../../runtime/storage/object-store.ts'
import { storeOf } from '../../runtime/storage/open-store.ts'
import type { ByteSink } from '../../runtime/files/file-sink.ts'
import type { BatchManifest } from './batch-spec.ts'
import { manifestName, successName } from './batch-spec.ts'

export interface WrittenObject {
  readonly bytes: number
  readonly sha256: string
  readonly etag: string
}

/**
 * The folder of a batch, in object storage or on a disk:
 *
 *     part-00000.parquet, part-00001.parquet …   then _manifest.json   then _SUCCESS, which is empty
 *
 * Each name gets its content once, by a write on the condition that the name is free. A second writer of the same bytes
 * finds them there. So two workers on one part do no harm, and a batch without `_SUCCESS` is not complete.
 */
export interface BatchOutput {
  /**
   * Refuses a folder with another batch, or empties it.
   *
   * @throws LockstepError `FILE_EXISTS`
   */
  begin(parts: readonly string[]): Promise<void>
  /** Takes the bytes of a part. Its `seal` gives the part its name. */
  part(name: string): Promise<ByteSink<WrittenObject>>
  /**
   * Writes the manifest, then `_SUCCESS`. Repeating it changes nothing.
   *
   * @throws LockstepError `FILE_CHANGED` where a part is no longer there; `FILE_EXISTS`
   */
  complete(manifest: BatchManifest): Promise<void>
  /** Removes these parts, unless the batch is complete. */
  remove(parts: readonly { readonly name: string; readonly sha256: string }[]): Promise<void>
}

export function createBatchOutput(out: string, options: { readonly job: number; readonly overwrite: boolean }): BatchOutput {
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

  return {
    async begin() {
      const store = await storeOf(out)
      const there: string[] = []
      for await (const { url } of store.list(`${out}/`)) if (isOfBatch(url.slice(out.length + 1))) there.push(url)
      if (there.length === 0) return
      const manifest = await manifestThere()
      if (!options.overwrite) {
        const whose = typeof manifest?.id === 'string' ? `the batch "${manifest.id}"` : 'files of a batch'
        throw new LockstepError('FILE_EXISTS', `"${out}" has ${whose} already. Choose another folder, or replace it (--overwrite).`, {
          details: { out },
        })
      }
      // what says that the folder is complete goes first
      for (const name of [successName, manifestName]) await store.remove(at(name))
      for (const url of there) await store.remove(url)
    },
    async part(name) {
      const store = await storeOf(out)
      const writer = await store.write(at(name), { overwrite: false })
      return {
        write: (bytes) => writer.write(bytes),
        abort: () => writer.abort(),
        async seal() {
          const { bytes, sha256 } = await writer.seal()
          try {
            return { bytes, sha256, etag: (await writer.commit()).etag }
          } catch (error) {
            await writer.abort()
            if (!(error instanceof LockstepError) || error.code !== 'FILE_EXISTS') throw error
            const there = await store.head(at(name))
            if (there !== null && there.bytes === bytes && (await sha256Of(store, there)) === sha256)
              return { bytes, sha256, etag: there.etag }
            throw new LockstepError(
              'NOT_REPRODUCIBLE',
              `"${at(name)}" exists with other content than this batch has. Another program writes to the folder, or a source has changed rows. Choose another folder.`,
              { cause: error, details: { url: at(name), sha256 } },
            )
          }
        },
      }
    },
    async complete(manifest) {
      if ((await put(manifestName, `${JSON.stringify(manifest, null, 2)}\n`)) === null && (await manifestThere())?.job !== options.job) {
        throw new LockstepError('FILE_EXISTS', `"${at(manifestName)}" is of another batch. Choose another folder.`, { details: { out } })
      }
      await requireParts(manifest)
      await put(successName, '')
    },
    async remove(parts) {
      const store = await storeOf(out)
      if ((await store.head(at(successName))) !== null) return
      if ((await manifestThere())?.job === options.job) await store.remove(at(manifestName))
      for (const { name, sha256 } of parts) {
        const there = await store.head(at(name))
        if (there !== null && (await sha256Of(store, there)) === sha256) await store.remove(there.url)
      }
    },
  }
}

function isOfBatch(name: string): boolean {
  return /^part-\d{5,}\.(parquet|csv|jsonl)$/.test(name) || name === manifestName || name === successName
}
