import type { OpenModel } from '../../inference/open-model.ts'
import { openModel } from '../../inference/open-model.ts'
import type { ProcessPool } from '../../inference/process-pool.ts'
import type { Logger } from '../../runtime/log.ts'
import type { PlannedModel } from './engine-plan.ts'

/** Loads the model of an engine. Close it after use. */
export function loadPlanned({ name, binding, operational, bytes }: PlannedModel, pool: ProcessPool, log: Logger): Promise<OpenModel> {
  return openModel(() => Promise.resolve(bytes), {
    binding,
    name,
    operational,
    pool,
    log,
    onRun: () => undefined,
    onWait: () => undefined,
    onLookups: () => undefined,
    onEnd: (reason) => log.error({ model: name, reason }, 'a model process ended during a run'),
  })
}
