import type { JetStreamManager } from '@nats-io/jetstream'
import { AckPolicy, DeliverPolicy, JetStreamApiCodes, JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { LockstepError, withoutStop } from '../../kernel/errors.ts'
import type { NatsStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { connectToNats } from './nats-connection.ts'
import type { GroupStart, StreamGroup } from './stream-group.ts'
import { wrongPosition } from './stream-group.ts'

export function natsGroup(url: string, spec: NatsStreamSpec): StreamGroup {
  return {
    begin: (start) => beginGroup(url, spec, start),
    end: () => changeConsumers(url, spec, 'deleted', (consumers) => consumers.delete(spec.stream, spec.group)),
  }
}

/** Makes a consumer that begins at the start. Its readers set the rest of its options. */
async function beginGroup(url: string, spec: NatsStreamSpec, start: GroupStart): Promise<void> {
  if ('position' in start && !/^[1-9]\d{0,15}$/.test(start.position))
    throw wrongPosition(spec, start.position, 'the sequence of a message, as in 1234')
  await changeConsumers(url, spec, 'made', async (consumers) => {
    // left by an attempt that failed later
    await consumers.delete(spec.stream, spec.group).catch((error: unknown) => {
      if (!(error instanceof JetStreamApiError) || error.code !== JetStreamApiCodes.ConsumerNotFound) throw error
    })
    await consumers.add(spec.stream, {
      durable_name: spec.group,
      ack_policy: AckPolicy.Explicit,
      ...('atMs' in start
        ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(Math.ceil(start.atMs)).toISOString() }
        : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Number(start.position) }),
      ...(spec.subject === null ? {} : { filter_subject: spec.subject }),
    })
  })
}

async function changeConsumers(
  url: string,
  spec: NatsStreamSpec,
  change: string,
  action: (consumers: JetStreamManager['consumers']) => Promise<unknown>,
): Promise<void> {
  let connection: NatsConnection | null = null
  try {
    connection = await connectToNats(url)
    await action((await jetstreamManager(connection, { checkAPI: false })).consumers)
  } catch (cause) {
    throw new LockstepError(
      'STREAM_UNAVAILABLE',
      `The consumer "${spec.group}" of the ${streamName(spec)} cannot be ${change}: ${withoutStop(cause)}.`,
      { cause },
    )
  } finally {
    await connection?.close()
  }
}
