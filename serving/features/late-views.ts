import { lateFrom, lateText } from '../../kernel/due-moment.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { tryCheckpoints } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'

/** How long the store is not asked again about a view that is late, or that it does not know. */
const askedAgainMs = 100

export interface LateViews {
  /**
   * The online views of a service that lack a run which was due by the moment. Call it before their states are read. It
   * asks the store only if a view may be late. While the store is down, no view is late.
   *
   * @param asOf epoch microseconds; a moment in the future counts as now
   */
  of(service: ServicePlan, store: Pick<OnlineStore, 'read'>, asOf: number): readonly DefinitionId[] | Promise<readonly DefinitionId[]>
  /** A sentence for each view that is late, which says what to do. */
  problems(plans: readonly ViewPlan[], store: Pick<OnlineStore, 'read'>, asOf: number): Promise<string[]>
}

const none: readonly DefinitionId[] = []

/** @param clock epoch microseconds */
export function createLateViews(isOnline: (view: DefinitionId) => boolean, clock: () => number): LateViews {
  const known = new WeakMap<ViewPlan, { readonly from: number; readonly askedAt: number }>()
  const scheduledOf = memoizeWeak(({ uses }: ServicePlan) => [...new Set(uses.map(({ plan }) => plan).filter(isScheduled))])

  async function ask(plans: readonly ViewPlan[], store: Pick<OnlineStore, 'read'>): Promise<void> {
    const askedAt = performance.now()
    const checkpoints = await tryCheckpoints(
      store,
      plans.map(({ id }) => id),
    ).catch(() => [])
    for (const [i, plan] of plans.entries()) {
      const checkpoint = checkpoints[i] ?? null
      const { availability } = plan.spec
      const begunAt = checkpoint === null || checkpoint instanceof LockstepError ? undefined : checkpoint.begunAt
      const from = begunAt === undefined || availability.kind === 'continuous' ? Number.NaN : lateFrom(availability, begunAt)
      known.set(plan, { from, askedAt })
    }
  }

  function isLate(plan: ViewPlan, at: number): boolean {
    return (known.get(plan)?.from ?? Number.NaN) <= at
  }

  async function lateOf(plans: readonly ViewPlan[], store: Pick<OnlineStore, 'read'>, at: number): Promise<readonly ViewPlan[]> {
    const since = performance.now() - askedAgainMs
    const unsure = plans.filter((plan) => !(at < (known.get(plan)?.from ?? Number.NaN)) && (known.get(plan)?.askedAt ?? 0) <= since)
    if (unsure.length > 0) await ask(unsure, store)
    return plans.filter((plan) => isLate(plan, at))
  }

  return {
    of(service, store, asOf) {
      const plans = scheduledOf(service)
      if (plans.length === 0) return none
      const at = Math.min(asOf, clock())
      if (plans.every((plan) => at < (known.get(plan)?.from ?? Number.NaN))) return none
      const online = plans.filter(({ id }) => isOnline(id))
      return online.length === 0 ? none : lateOf(online, store, at).then((late) => late.map(({ id }) => id))
    },
    async problems(plans, store, asOf) {
      const late = await lateOf(plans.filter(isScheduled), store, Math.min(asOf, clock()))
      return late.map((plan) => lateText(plan.id, known.get(plan)?.from ?? 0))
    },
  }
}

function isScheduled({ spec }: ViewPlan): boolean {
  return spec.availability.kind === 'schedule'
}
