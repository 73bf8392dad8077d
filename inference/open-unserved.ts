import type { OpenModel, OpenModelOptions } from './open-model.ts'
import { openModel } from './open-model.ts'

interface UnservedOptions extends Pick<OpenModelOptions, 'binding' | 'name' | 'operational' | 'pool' | 'log'> {
  /** Once it is aborted, processes that end are not logged: the caller ends them. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens a model that answers no requests: for the rows of a batch, a file or a baseline. It runs as on a server.
 *
 * @throws LockstepError what `openModel` throws
 */
export async function openUnserved(bytes: () => Promise<Uint8Array>, { signal, ...options }: UnservedOptions): Promise<OpenModel> {
  const { name, log } = options
  return await openModel(bytes, {
    ...options,
    onRun: () => undefined,
    onWait: () => undefined,
    onLookups: () => undefined,
    onEnd(reason) {
      if (signal?.aborted !== true) log.error({ model: name, reason }, 'a model process ended during a run')
    },
  })
}
