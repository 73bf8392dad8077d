import { LockstepError } from '../../../kernel/errors.ts'
import type { ChangeOptions } from '../../../registry/promote.ts'
import { lift } from '../../traffic/request-deadline.ts'
import type { Call } from './call.ts'

/**
 * A change is not made after its client has disconnected or was answered that it took too long. Once it is made its
 * deadline is lifted: a client that is answered with an error would make it again.
 */
export function whileAwaited({ outgoing, deadline }: Call): Required<ChangeOptions> & { readonly signal: AbortSignal } {
  const gone = new AbortController()
  const leave = () => gone.abort(new LockstepError('NOT_PROMOTABLE', 'The request is no longer waiting for it.'))
  if (outgoing.destroyed) leave()
  else outgoing.once('close', leave)
  return {
    signal: gone.signal,
    beforeCommit() {
      gone.signal.throwIfAborted()
      if (deadline !== undefined) lift(deadline)
    },
  }
}
