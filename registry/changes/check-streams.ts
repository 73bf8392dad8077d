import { LockstepError } from '../../kernel/errors.ts'
import type { SinkSpec } from '../../kernel/specs/sink-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import type { Definition } from '../definition.ts'
import { displayName } from '../definition.ts'

/**
 * Two sources or pipelines that read one stream as one group would each get a part of it, and a pipeline that writes to
 * the stream that it reads would never end. A pipeline whose source has no stream reads nothing, and one that writes in
 * transactions reads from Kafka. One error for each.
 */
export function checkStreams(definitions: readonly Definition[]): LockstepError[] {
  const streams = new Map<string, StreamSpec>()
  for (const { kind, name, operational } of definitions)
    if (kind === 'source' && operational.stream !== undefined) streams.set(name, operational.stream)
  const readers = new Map<string, Definition>()
  return definitions.flatMap((definition) => {
    const stream = readBy(definition, streams)
    if (stream === undefined) return definition.kind === 'pipeline' ? withoutStream(definition, definitions) : []
    if (definition.kind === 'pipeline' && stream.kind === definition.spec.sink.kind && stream.stream === definition.spec.sink.stream) {
      const message = `The ${displayName(definition)} writes to the ${streamName(stream)}, which it reads. Write to another one.`
      return [new LockstepError('DEFINITIONS_INVALID', message, { details: { pipeline: definition.name } })]
    }
    if (definition.kind === 'pipeline' && isTransactional(definition.spec.sink) && stream.kind !== 'kafka') {
      const { name, spec } = definition
      const message = `The pipeline "${name}" writes to the ${streamName(spec.sink)} in transactions, so it must read from Kafka, too, but the source "${spec.source}" has a ${streamName(stream)}. Remove "transactions" from the sink, or retire the pipeline: lockstep prune ${name}`
      return [new LockstepError('DEFINITIONS_INVALID', message, { details: { pipeline: name, source: spec.source } })]
    }
    const place = JSON.stringify([stream.kind, stream.stream, stream.group])
    const other = readers.get(place)
    readers.set(place, definition)
    if (other === undefined) return []
    const who =
      other.kind === definition.kind
        ? `${definition.kind}s "${other.name}" and "${definition.name}"`
        : `${displayName(other)} and the ${displayName(definition)}`
    return [
      new LockstepError(
        'DEFINITIONS_INVALID',
        `The ${who} both read the ${streamName(stream)} with the group "${stream.group}", so each would get only a part of the messages. Remove the group, or give each ${definition.kind} its own.`,
        { details: { [`${definition.kind}s`]: [other.name, definition.name] } },
      ),
    ]
  })
}

/** @param definitions all that stay, so a source that is not among them is reported as missing elsewhere */
function withoutStream({ name, spec }: Definition & { readonly kind: 'pipeline' }, definitions: readonly Definition[]): LockstepError[] {
  if (!definitions.some((each) => each.kind === 'source' && each.name === spec.source)) return []
  const message = `The pipeline "${name}" reads the stream of the source "${spec.source}", and the source has none. Declare its stream, or take the pipeline out of the file and retire it: lockstep prune ${name}`
  return [new LockstepError('DEFINITIONS_INVALID', message, { details: { pipeline: name, source: spec.source } })]
}

function isTransactional(sink: SinkSpec): boolean {
  return sink.kind === 'kafka' && sink.transactions === true
}

function readBy(definition: Definition, streams: ReadonlyMap<string, StreamSpec>): StreamSpec | undefined {
  if (definition.kind === 'source') return definition.operational.stream
  if (definition.kind !== 'pipeline') return undefined
  const stream = streams.get(definition.spec.source)
  return stream === undefined ? undefined : { ...stream, group: definition.spec.group }
}
