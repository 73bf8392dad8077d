import type { Context } from './context.ts'

/**
 * Does some work and closes the context, whether the work succeeds or fails. If both the work and the closing fail, the
 * work's error is thrown, and the other one is logged.
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
