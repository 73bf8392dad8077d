import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Lack } from '../online/whole-view.ts'
import { lacksOf } from '../online/whole-view.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Logger } from '../runtime/log.ts'
import { within } from './deadline.ts'
import { answerMs } from './dependency.ts'

/** Watches whether the online store holds the views that are served from it: an absent view looks like one in which nothing was ever found. */
export interface OnlineViews {
  /** What the store lacks, one sentence each, as of the last check. */
  readonly warnings: readonly string[]
  /** Asks the store about every online view that a service uses. Never rejects: a store that is away is told by its ping. */
  check(store: OnlineStore, catalog: Catalog): Promise<void>
}

/** @param onState told of every view, whether the store holds it as the registry defines it */
export function createOnlineViews(onState: (states: ReadonlyMap<DefinitionId, boolean>) => void, log: Logger): OnlineViews {
  let warnings: readonly string[] = []

  return {
    get warnings() {
      return warnings
    },
    async check(store, catalog) {
      const plans = servedOnline(catalog)
      let lacks: readonly Lack[]
      try {
        lacks = await within(
          answerMs,
          lacksOf(store, plans),
          () => new LockstepError('REDIS_UNAVAILABLE', 'The online store does not answer.'),
        )
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'the online views cannot be checked')
        if (!(error instanceof LockstepError && error.code === 'REDIS_UNAVAILABLE')) warnings = [messageOf(error)]
        return
      }
      const found = lacks.map(({ problem }) => problem)
      for (const warning of found) if (!warnings.includes(warning)) log.warn({ warning }, 'the online store lacks a view')
      warnings = found
      onState(new Map(plans.map(({ id }) => [id, !lacks.some(({ view }) => view === id)])))
    },
  }
}

function servedOnline(catalog: Catalog): ViewPlan[] {
  const plans = new Map<DefinitionId, ViewPlan>()
  for (const service of catalog.services.values()) {
    for (const { plan } of service.uses) if (catalog.online.has(plan.id)) plans.set(plan.id, plan)
  }
  return [...plans.values()]
}
