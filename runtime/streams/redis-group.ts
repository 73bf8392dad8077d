import { LockstepError } from '../../kernel/errors.ts'
import type { RedisStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { connectToStreams, failureText } from './redis-connection.ts'
import type { GroupStart, StreamGroup } from './stream-group.ts'
import { wrongPosition } from './stream-group.ts'

const largest = 2n ** 64n - 1n

export function redisGroup(url: string, spec: RedisStreamSpec): StreamGroup {
  return {
    begin: (start) => beginGroup(url, spec, start),
    end: () => changeGroup(url, spec, 'deleted', (redis) => redis.call('XGROUP', 'DESTROY', spec.stream, spec.group)),
  }
}

async function beginGroup(url: string, spec: RedisStreamSpec, start: GroupStart): Promise<void> {
  const before = entryBefore(spec, start)
  await changeGroup(url, spec, 'made', async (redis) => {
    // one that is there was left by an attempt that failed later
    const begin = async (verb: 'CREATE' | 'SETID', ...more: readonly string[]): Promise<unknown> =>
      await redis.call('XGROUP', verb, spec.stream, spec.group, before, ...more)
    await begin('CREATE', 'MKSTREAM').catch((cause: unknown) =>
      begin('SETID').catch(() => {
        throw cause
      }),
    )
  })
}

async function changeGroup(
  url: string,
  spec: RedisStreamSpec,
  change: string,
  action: (redis: ReturnType<typeof connectToStreams>['redis']) => Promise<unknown>,
): Promise<void> {
  const { redis, connection, cut } = connectToStreams(url)
  try {
    await action(redis)
  } catch (cause) {
    throw new LockstepError(
      'STREAM_UNAVAILABLE',
      `The group "${spec.group}" of the ${streamName(spec)} at "${connection.server}" cannot be ${change}: ${failureText(connection, cause)}.`,
      { cause },
    )
  } finally {
    cut()
  }
}

/** The greatest possible id before the start: a group reads what comes after an id. */
function entryBefore(spec: RedisStreamSpec, start: GroupStart): string {
  if ('atMs' in start) return start.atMs <= 0 ? '0' : `${Math.ceil(start.atMs) - 1}-${largest}`
  const [, ms, sequence = '0'] = /^(\d{1,15})(?:-(\d{1,20}))?$/.exec(start.position) ?? []
  if (ms === undefined) throw wrongPosition(spec, start.position, 'the id of an entry, as in 1772366400000-0')
  if (BigInt(sequence) > 0n) return `${ms}-${BigInt(sequence) - 1n}`
  return Number(ms) === 0 ? '0' : `${Number(ms) - 1}-${largest}`
}
