import { LockstepError } from '../../kernel/errors.ts'
import type { RedisSinkSpec } from '../../kernel/specs/sink-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import type { RedisStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { connectToStreams, failureText } from './redis-connection.ts'
import type { OutputMessage, StreamSink } from './stream-sink.ts'
import { idHeader, keyHeader, messageTooLarge } from './stream-sink.ts'

/**
 * A Redis Stream. Each message is written by a script that looks for its id first.
 *
 * @param from the stream that the messages answer. On a server that is no cluster the script acknowledges the message
 *   there in the same step, and writes nothing for one that is acknowledged already. null: ids are kept for a time
 */
export function openRedisSink(url: string, spec: RedisSinkSpec, from: RedisStreamSpec | null): StreamSink {
  const { stream, field, maxLength, windowSeconds } = spec
  const { redis, connection, cut } = connectToStreams(url)
  let maxBytes = Infinity
  const acknowledged = connection.kind === 'cluster' ? null : from

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(spec)} at "${connection.server}" cannot be written: ${failureText(connection, cause)}. Check LOCKSTEP_STREAM_REDIS_URL and that the server runs.`,
        { cause },
      )
    }
  }

  return {
    check: () =>
      attempt(async () => {
        await redis.ping()
        maxBytes = await longestText(redis)
      }),
    async produce(messages) {
      if (messages.length === 0) return
      // the server cuts off who sends more
      if (messages.some(({ value }) => Buffer.byteLength(value) > maxBytes))
        throw messageTooLarge(spec, 'Raise proto-max-bulk-len of the server.')
      await attempt(async () => {
        const entries = (known: (message: OutputMessage) => string): string[] =>
          messages.flatMap((message) => [known(message), message.id, message.key, message.value])
        const length = String(maxLength ?? 0)
        if (acknowledged === null) {
          const seen = messages.map(({ writtenAs }) => `${taggedPrefix(stream)}:seen:${writtenAs}`)
          await redis.eval(windowScript, 1 + seen.length, stream, ...seen, field, length, String(windowSeconds), ...entries(() => ''))
        } else {
          const { stream: input, group } = acknowledged
          await redis.eval(acknowledgingScript, 2, stream, input, field, length, group, ...entries((message) => message.input))
        }
      })
    },
    close: async () => cut(),
  }
}

/** How many bytes the server takes as one text; a server that does not say it is taken to allow all. */
async function longestText(redis: ReturnType<typeof connectToStreams>['redis']): Promise<number> {
  const answer = await redis.call('CONFIG', 'GET', 'proto-max-bulk-len').catch(() => null)
  return (Array.isArray(answer) && Number(answer[1])) || Infinity
}

/** Keys that begin so lie where the stream does, in a cluster. */
function taggedPrefix(stream: string): string {
  return /\{[^}]+\}/.test(stream) ? stream : `{${stream}}`
}

const add = `
local function add(at)
  local entry = {KEYS[1]}
  if ARGV[2] ~= '0' then
    entry[2] = 'MAXLEN'
    entry[3] = '~'
    entry[4] = ARGV[2]
  end
  for _, each in ipairs({'*', ARGV[1], ARGV[at + 3], '${idHeader}', ARGV[at + 1], '${keyHeader}', ARGV[at + 2]}) do
    entry[#entry + 1] = each
  end
  redis.call('XADD', unpack(entry))
end`

/**
 * KEYS: the stream, and for each message the key that says whether it is written. ARGV: the field, how many entries the
 * stream keeps (0: all), for how many seconds a message is known, then for each message an empty text, its id, its key
 * and its value. Returns nothing. An entry is added before it is noted: what cannot be added is not noted.
 */
const windowScript = `${add}
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    add(4 + (i - 2) * 4)
    redis.call('SET', KEYS[i], '', 'EX', ARGV[3])
  end
end`

/**
 * KEYS: the stream, and the one that is answered. ARGV: the field, how many entries the stream keeps (0: all), the
 * group of the answered stream, then for each message the entry that it answers, its id, its key and its value. Returns
 * nothing. If the group was deleted, nothing is written: the group is recreated and reads the entries again.
 */
const acknowledgingScript = `${add}
for at = 4, #ARGV, 4 do
  local pending = redis.pcall('XPENDING', KEYS[2], ARGV[3], ARGV[at], ARGV[at], 1)
  if pending.err then
    if string.find(pending.err, '^NOGROUP') then return end
    return pending
  end
  if #pending == 1 then
    add(at)
    redis.call('XACK', KEYS[2], ARGV[3], ARGV[at])
  end
end`
