import { openSink } from '../runtime/files/open-sink.ts'
import { placeFiles } from '../runtime/files/place-files.ts'

/**
 * Writes a file or an object of a store. It is there completely or not at all.
 *
 * @returns its size in bytes
 * @throws LockstepError `FILE_EXISTS` unless `overwrite`, `WRITE_FAILED`
 */
export async function writeOutput(path: string, bytes: Uint8Array, overwrite: boolean): Promise<number> {
  const sink = await openSink(path, overwrite)
  try {
    await sink.write(bytes)
    const sealed = await sink.seal()
    await placeFiles([sealed], overwrite)
    return sealed.bytes
  } catch (error) {
    await sink.abort()
    throw error
  }
}
