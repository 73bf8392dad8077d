import { AckPolicy, DeliverPolicy, JetStreamApiCodes, JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { NatsStreamSpec } from '../../kernel/stream-spec.ts'
import { streamName } from '../../kernel/stream-spec.ts'
import type { GroupStart } from './group-start.ts'
import { wrongPosition } from './group-start.ts'
import { connectToNats } from './nats-connection.ts'

/** A consumer that begins at the start, for readers that make it what else they need. */
export async function beginNatsGroup(url: string, spec: NatsStreamSpec, start: GroupStart): Promise<void> {
  if ('position' in start && !/^[1-9]\d{0,15}$/.test(start.position))
    throw wrongPosition(spec, start.position, 'the sequence of a message, as in 1234')
  const connection = await connectToNats(url).catch((cause: unknown) => {
    throw unavailable(spec, cause)
  })
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false })
    // left by an attempt that failed later
    await manager.consumers.delete(spec.stream, spec.group).catch((error: unknown) => {
      if (!(error instanceof JetStreamApiError) || error.code !== JetStreamApiCodes.ConsumerNotFound) throw error
    })
    await manager.consumers.add(spec.stream, {
      durable_name: spec.group,
      ack_policy: AckPolicy.Explicit,
      ...('atMs' in start
        ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(Math.ceil(start.atMs)).toISOString() }
        : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Number(start.position) }),
      ...(spec.subject === null ? {} : { filter_subject: spec.subject }),
    })
  } catch (cause) {
    throw unavailable(spec, cause)
  } finally {
    await connection.close()
  }
}

function unavailable(spec: NatsStreamSpec, cause: unknown): LockstepError {
  return new LockstepError(
    'STREAM_UNAVAILABLE',
    `The consumer "${spec.group}" of the ${streamName(spec)} cannot be made: ${messageOf(cause).replace(/\.$/, '')}.`,
    { cause },
  )
}
