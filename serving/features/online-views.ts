import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { checkpointKey } from '../../online/checkpoint.ts'
import type { HoldingStore, IncompleteView } from '../../online/completeness.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Logger } from '../../runtime/log.ts'
import { withPatience } from '../../runtime/async.ts'
import { answerMs } from '../lifecycle/dependency.ts'
import type { LateViews } from './late-views.ts'

/**
 * Watches whether the online store holds the views that are served from it, complete and of this database. A view that
 * it does not hold is not answered from it: its absent states would look like entities that were never seen, and those
 * that are there may be old, or another database's.
 */
export interface OnlineViews {
  /** Sentences about views that the store lacks, and about late scheduled views, as of the last check. */
  readonly warnings: readonly string[]
  /**
   * The views that the store has completely, as of the last check; null before the first. A view whose server does not
   * answer is among them. Another set where that has changed.
   */
  readonly complete: ReadonlySet<DefinitionId> | null
  /**
   * Why nothing can be answered from the online store: it holds none of the views that are served from it. null where
   * it holds one, or none is served.
   */
  readonly failure: string | null
  /**
   * Asks the store about every online view. Only views that a service uses have warnings. Never rejects: the ping
   * reports a store that is down.
   */
  check(store: HoldingStore, catalog: Catalog): Promise<void>
  /**
   * Whether the store held the view at the last check. If not, a read asks the store first (`requireComplete`).
   */
  holds(view: ViewPlan): boolean
  /**
   * Notes that a read failed. If its view is incomplete, or the store may come back as another one, the last check no
   * longer counts. In a cluster, the check of a view counts until the server of its checkpoint is connected again:
   * while one server is down, the others answer as before.
   */
  noteFailure(error: unknown): void
}

/** A view that the store held. */
interface Held {
  readonly fingerprint: string
  /** Whether the server of its checkpoint still has the connection of the check, in a store on several servers. */
  readonly sameConnection: (() => boolean) | undefined
}

/**
 * @param onState called with every view, and whether the store holds it as the registry defines it
 * @param asOf the moment of answers
 */
export function createOnlineViews(
  onState: (states: ReadonlyMap<DefinitionId, boolean>) => void,
  log: Logger,
  lateViews: LateViews,
  asOf: () => number,
): OnlineViews {
  let warnings: readonly string[] = []
  let complete: ReadonlySet<DefinitionId> | null = null
  let failure: string | null = null
  let held: ReadonlyMap<DefinitionId, Held> = new Map()

  return {
    get warnings() {
      return warnings
    },
    get complete() {
      return complete
    },
    get failure() {
      return failure
    },
    async check(store, catalog) {
      const plans = [...catalog.online].flatMap((id) => catalog.views.get(id) ?? [])
      const served = servedOnline(catalog)
      const watched = plans.filter(({ id }) => served.has(id))
      const connections = new Map(plans.map(({ id }) => [id, store.sameConnection?.(checkpointKey(id))]))
      let lacks: readonly IncompleteView[]
      let late: readonly string[]
      try {
        ;[lacks, late] = await withPatience(
          Promise.all([findIncompleteViews(store, plans), lateViews.problems(watched, store, asOf())]),
          answerMs,
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
      // their server does not answer, so what was known of them counts
      const unknown = new Set(lacks.flatMap(({ view, code }) => (code === 'REDIS_UNAVAILABLE' ? [view] : [])))
      lacks = lacks.filter(({ view }) => !unknown.has(view))
      const absent = new Set(lacks.flatMap(({ view, partial }) => (partial === true ? [] : [view])))
      const found = plans.filter(({ id }) => !absent.has(id))
      const before = held
      held = new Map(
        found.flatMap(({ id, fingerprint }) => {
          const now = unknown.has(id) ? before.get(id) : { fingerprint, sameConnection: connections.get(id) }
          return now === undefined ? [] : [[id, now]]
        }),
      )
      if (complete === null || complete.size !== found.length || !found.every(({ id }) => complete?.has(id)))
        complete = new Set(found.map(({ id }) => id))
      const problems = [...lacks.flatMap(({ view, problem }) => (served.has(view) ? [problem] : [])), ...late]
      for (const warning of problems) if (!warnings.includes(warning)) log.warn({ warning }, 'an online view has a problem')
      warnings = problems
      failure = served.size > 0 && [...served].every((id) => absent.has(id)) ? 'The online store holds none of the served views.' : null
      onState(new Map([...served].map((id) => [id, !lacks.some(({ view }) => view === id)])))
    },
    holds({ id, fingerprint }) {
      const known = held.get(id)
      return known?.fingerprint === fingerprint && known.sameConnection?.() !== false
    },
    noteFailure(error) {
      if (!(error instanceof LockstepError)) return
      if (error.code === 'REDIS_UNAVAILABLE') held = new Map([...held].filter(([, { sameConnection }]) => sameConnection !== undefined))
      if (error.code === 'NOT_READY') held = new Map([...held].filter(([id]) => id !== error.details['view']))
    },
  }
}

function servedOnline(catalog: Catalog): ReadonlySet<DefinitionId> {
  const used = [...catalog.services.values()].flatMap(({ uses }) => uses.map(({ plan }) => plan.id))
  return new Set(used.filter((id) => catalog.online.has(id)))
}
