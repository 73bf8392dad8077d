import type { Redis } from 'ioredis'

/** What a Redis does then, and what to do. */
export const cannotSaveText = 'cannot save to its disk, and refuses writes until it can. Free some space there, or see its log.'

/** Whether a Redis refuses writes because it cannot save to its disk. It then refuses PING too, and answers reads. */
export async function cannotSave(redis: Redis): Promise<boolean> {
  return await redis.ping().then(
    () => false,
    (error: unknown) => error instanceof Error && error.message.startsWith('MISCONF'),
  )
}
