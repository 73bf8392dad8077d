import type { OpenModel, OpenModelOptions } from '../../inference/open-model.ts'
import { openModel } from '../../inference/open-model.ts'

/**
 * Opens a model that answers no requests: for the rows of a batch or of a file. It runs as on a server.
 *
 * @throws LockstepError what `openModel` throws
 */
export async function openUnserved(
  bytes: () => Promise<Uint8Array>,
  options: Pick<OpenModelOptions, 'binding' | 'name' | 'operational' | 'pool' | 'log'>,
): Promise<OpenModel> {
  const { name, log } = options
  return await openModel(bytes, {
    ...options,
    onRun: () => undefined,
    onWait: () => undefined,
    onLookups: () => undefined,
    onEnd: (reason) => log.error({ model: name, reason }, 'a model process ended during a run'),
  })
}
