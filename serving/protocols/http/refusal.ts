import { LockstepError } from '../../../kernel/errors.ts'

/**
 * Does what a request asks for with content that it brought: definitions, a model file, rows. An error is then the
 * content's, though elsewhere one with this code means that the server failed.
 */
export async function asRefusal<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof LockstepError)) throw cause
    throw new LockstepError(cause.code, cause.message, { cause, details: { ...cause.details, refused: true } })
  }
}
