import type { SinkSpec } from '../../kernel/specs/sink-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { durationText } from '../../kernel/values/duration.ts'

/** How often an answer is written, by what its stream and its sink can do (docs/pipelines.md). */
export function deliveryGuarantee(stream: Pick<StreamSpec, 'kind'>, sink: SinkSpec): string {
  switch (sink.kind) {
    case 'redis':
      return stream.kind === 'redis'
        ? `once; in a Redis Cluster, once within ${windowOf(sink.windowSeconds)}`
        : `once within ${windowOf(sink.windowSeconds)}`
    case 'nats':
      return "once within the duplicate window of the sink's stream"
    case 'kafka':
      if (sink.transactions === true) return 'once, for consumers that read committed messages'
      return 'at least once; a repeat has the same lockstep-id'
    default:
      return sink satisfies never
  }
}

function windowOf(seconds: number): string {
  return durationText(seconds * 1_000_000)
}
