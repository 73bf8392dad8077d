import { dirname } from 'node:path'
import { LockstepError } from '../../../../kernel/errors.ts'

/**
 * Does what a request asks for with content that it brought: definitions, a model file, rows. An error is then the
 * content's, though elsewhere one with this code means that the server failed.
 *
 * @param file the path of an upload. Its client knows it by its name, so errors leave out the folder.
 */
export async function asRefusal<T>(work: () => T | Promise<T>, file?: string): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof LockstepError)) throw cause
    const message = file === undefined ? cause.message : cause.message.replaceAll(`${dirname(file)}/`, '')
    throw new LockstepError(cause.code, message, { cause, details: { ...cause.details, refused: true } })
  }
}
