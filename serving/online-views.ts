import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Lack } from '../online/whole-view.ts'
import { lacksOf } from '../online/whole-view.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Logger } from '../runtime/log.ts'
import { within } from './deadline.ts'
import { answerMs } from './dependency.ts'
import type { LateViews } from './late-views.ts'

/** Watches whether the online store holds the views that are served from it: an absent view looks like one in which nothing was ever found. */
export interface OnlineViews {
  /** What the store lacks, and which scheduled views are late, one sentence each, as of the last check. */
  readonly warnings: readonly string[]
  /** Those that the store holds completely, as of the last check; null before the first. Another set where that has changed. */
  readonly complete: ReadonlySet<DefinitionId> | null
  /** Asks the store about every online view; warnings are of those that a service uses. Never rejects: a store that is away is told by its ping. */
  check(store: OnlineStore, catalog: Catalog): Promise<void>
}

/**
 * @param onState told of every view, whether the store holds it as the registry defines it
 * @param asOf the moment that answers are of
 */
export function createOnlineViews(
  onState: (states: ReadonlyMap<DefinitionId, boolean>) => void,
  log: Logger,
  lateViews: LateViews,
  asOf: () => number,
): OnlineViews {
  let warnings: readonly string[] = []
  let complete: ReadonlySet<DefinitionId> | null = null

  return {
    get warnings() {
      return warnings
    },
    get complete() {
      return complete
    },
    async check(store, catalog) {
      const plans = [...catalog.online].flatMap((id) => catalog.views.get(id) ?? [])
      const served = servedOnline(catalog)
      const watched = plans.filter(({ id }) => served.has(id))
      let lacks: readonly Lack[]
      let late: readonly string[]
      try {
        ;[lacks, late] = await within(
          answerMs,
          Promise.all([lacksOf(store, plans), lateViews.problems(watched, store, asOf())]),
          () => new LockstepError('REDIS_UNAVAILABLE', 'The online store does not answer.'),
        )
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'the online views cannot be checked')
        if (!(error instanceof LockstepError && error.code === 'REDIS_UNAVAILABLE')) {
          warnings = [messageOf(error)]
          complete ??= new Set()
        }
        return
      }
      const lacking = new Set(lacks.map(({ view }) => view))
      const found = plans.map(({ id }) => id).filter((id) => !lacking.has(id))
      if (complete === null || complete.size !== found.length || !found.every((id) => complete?.has(id))) complete = new Set(found)
      const problems = [...lacks.flatMap(({ view, problem }) => (served.has(view) ? [problem] : [])), ...late]
      for (const warning of problems) if (!warnings.includes(warning)) log.warn({ warning }, 'a view is not as it should be')
      warnings = problems
      onState(new Map([...served].map((id) => [id, !lacking.has(id)])))
    },
  }
}

function servedOnline(catalog: Catalog): ReadonlySet<DefinitionId> {
  const used = [...catalog.services.values()].flatMap(({ uses }) => uses.map(({ plan }) => plan.id))
  return new Set(used.filter((id) => catalog.online.has(id)))
}
