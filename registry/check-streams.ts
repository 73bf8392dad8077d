import { LockstepError } from '../kernel/errors.ts'
import { streamName } from '../kernel/stream-spec.ts'
import type { Definition } from './definition.ts'

/**
 * Two sources that read one stream as one group would each get a part of it: what is wrong, one error for each such
 * pair.
 */
export function checkStreams(definitions: readonly Definition[]): LockstepError[] {
  const readers = new Map<string, string>()
  return definitions.flatMap(({ kind, name, operational: { stream } }) => {
    if (kind !== 'source' || stream === undefined) return []
    const place = JSON.stringify([stream.kind, stream.stream, stream.group])
    const other = readers.get(place)
    readers.set(place, name)
    if (other === undefined) return []
    return [
      new LockstepError(
        'DEFINITIONS_INVALID',
        `The sources "${other}" and "${name}" both read the ${streamName(stream)} with the group "${stream.group}", so each would get only a part of the messages. Remove the group, or give each source its own.`,
        { details: { sources: [other, name] } },
      ),
    ]
  })
}
