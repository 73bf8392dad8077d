import { LockstepError } from '../../kernel/errors.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'

/** Where a group begins to read: with the first message that came at a time or later, or with that of a position. */
export type GroupStart = { readonly atMs: number } | { readonly position: string }

/** A consumer group that nobody reads by. All calls throw `STREAM_UNAVAILABLE`. */
export interface StreamGroup {
  /**
   * Makes the group, which begins somewhere in the stream. One that is there starts again.
   *
   * @throws LockstepError `INVALID_REQUEST` for a position that is none of this kind of stream
   */
  begin(start: GroupStart): Promise<void>
  /** Deletes the group. */
  end(): Promise<void>
}

export function wrongPosition(spec: StreamSpec, position: string, wanted: string): LockstepError {
  return new LockstepError('INVALID_REQUEST', `"${position}" is not a position in the ${streamName(spec)}; write ${wanted}.`, {
    details: { position },
  })
}
