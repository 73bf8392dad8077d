import type { Context } from './context.ts'

/**
 * Does some work and closes the context, however it went. Where the work fails and the closing too, the work's error is
 * told, and the other one logged.
 */
export async function withContext<T>(context: Context, work: () => Promise<T>): Promise<T> {
  let result: T
  try {
    result = await work()
  } catch (error) {
    await context.close().catch((failure: unknown) => context.log.error({ err: failure }, 'closing failed'))
    throw error
  }
  await context.close()
  return result
}
