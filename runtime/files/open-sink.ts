import { isStoredObject } from '../storage/object-store.ts'
import { openObjectStore } from '../storage/open-store.ts'
import type { FileSink } from './file-sink.ts'
import { createFileSink } from './file-sink.ts'

/**
 * Takes the bytes of a file or an object. `placeFiles` gives it its name.
 *
 * @param path as `absoluteName` gives it
 * @param overwrite whether an object of that name is replaced. Of a file, `placeFiles` decides it.
 * @throws LockstepError `WRITE_FAILED` where a folder cannot be written, and what an object store throws
 */
export async function openSink(path: string, overwrite: boolean): Promise<FileSink> {
  if (!isStoredObject(path)) return await createFileSink(path)
  const store = await openObjectStore(path)
  const writer = await store.write(path, { overwrite })
  const object = { commit: () => writer.commit(), remove: (name: string) => store.remove(name) }
  return {
    write: (bytes) => writer.write(bytes),
    seal: async () => ({ ...(await writer.seal()), partial: path, path, object }),
    abort: () => writer.abort(),
  }
}
