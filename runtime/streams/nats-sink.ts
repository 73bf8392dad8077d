import { JetStreamApiError, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { InvalidArgumentError, headers } from '@nats-io/transport-node'
import { LockstepError, withoutStop } from '../../kernel/errors.ts'
import type { NatsSinkSpec } from '../../kernel/specs/sink-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { createNatsLink } from './nats-connection.ts'
import type { StreamSink } from './stream-sink.ts'
import { idHeader, keyHeader, messageTooLarge } from './stream-sink.ts'

const answerTimeoutMs = 3_000
const closeTimeoutMs = 1_000

/**
 * A JetStream stream, which is the user's to make. The server drops messages whose `Nats-Msg-Id` it knows, within the
 * stream's duplicate window.
 */
export function openNatsSink(url: string, spec: NatsSinkSpec, redeliverMs: number): StreamSink {
  const server = new URL(url).host
  const link = createNatsLink(url)

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      if (cause instanceof LockstepError) throw cause
      if (isTooLarge(cause)) throw messageTooLarge(spec, 'Raise max_msg_size of the stream or max_payload of the server.', cause)
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(spec)} at "${server}" cannot be written to "${spec.subject}": ${withoutStop(cause)}. Check LOCKSTEP_NATS_URL, that the server runs with JetStream, and that the stream exists and takes the subject.`,
        { cause },
      )
    }
  }

  return {
    check: () =>
      attempt(async () => {
        const manager = await jetstreamManager(await link.connected(), { timeout: answerTimeoutMs, checkAPI: false })
        const { config } = await manager.streams.info(spec.stream)
        const windowMs = config.duplicate_window / 1e6
        if (windowMs > redeliverMs) return
        throw new LockstepError(
          'CONFIG_INVALID',
          `The ${streamName(spec)} forgets ids after ${windowMs / 1000} s (its duplicate window), but a message can come again after ${redeliverMs / 1000} s, so answers would be written twice. Set the duplicate window of the stream to more than that, and to more than the longest outage that you expect.`,
          { details: { stream: spec.stream, duplicateWindowMs: windowMs, redeliverMs } },
        )
      }),
    produce: (messages) =>
      attempt(async () => {
        const js = jetstream(await link.connected(), { timeout: answerTimeoutMs })
        await Promise.all(
          messages.map(({ id, writtenAs, key, value }) => {
            const head = headers()
            head.set(idHeader, id)
            head.set(keyHeader, encodeURIComponent(key))
            return js.publish(spec.subject, value, { msgID: writtenAs, headers: head, expect: { streamName: spec.stream } })
          }),
        )
      }),
    close: () => link.close(closeTimeoutMs),
  }
}

/** The stream refuses a message by a code, the client one that is too large for the server. */
function isTooLarge(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.code === 10_054
  return error instanceof InvalidArgumentError
}
