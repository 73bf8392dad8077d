import type { StreamConsumer, StreamMessage } from './stream-consumer.ts'

/**
 * Works on messages for as long as it takes, while no other process gets them. They are extended three times in
 * `redeliverMs`, so that one extension may fail.
 */
export async function holdMessages<T>(
  consumer: Pick<StreamConsumer, 'extend' | 'redeliverMs'>,
  messages: readonly StreamMessage[],
  work: () => Promise<T>,
): Promise<T> {
  const timer = setInterval(() => void consumer.extend(messages).catch(() => undefined), consumer.redeliverMs / 3)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}

/**
 * Takes messages once the group has agreed on which are for this process: until then nothing is read, and what failed
 * before is not over.
 */
export async function takeShare(
  consumer: Pick<StreamConsumer, 'take' | 'hasShare'>,
  limit: number,
  signal: AbortSignal,
): Promise<readonly StreamMessage[]> {
  while (!signal.aborted) {
    const taken = await consumer.take(limit)
    if (taken.length > 0 || ((await consumer.hasShare?.()) ?? true)) return taken
  }
  return []
}
