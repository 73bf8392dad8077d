import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { HoldingStore } from '../../online/completeness.ts'
import { requireComplete } from '../../online/completeness.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import { readOnline, storedAnswer } from '../../online/read.ts'
import { withTimeout } from '../../runtime/async.ts'
import type { Span } from '../../runtime/tracing/span.ts'
import { traced } from '../../runtime/tracing/span.ts'
import type { Place } from '../traffic/place.ts'
import type { RequestDeadline } from '../traffic/request-deadline.ts'
import { requireTime } from '../traffic/request-deadline.ts'
import { nameEntity } from './entity-error.ts'
import type { OnUnavailable } from './fallback-policy.ts'
import { isStoreUnavailable, unavailableAnswer } from './fallback-policy.ts'
import type { OnlineViews } from './online-views.ts'
import type { Pushed, ReadYourWritesDeps } from './read-your-writes.ts'
import { readYourWrites } from './read-your-writes.ts'
import type { StaleCache } from './stale-cache.ts'

export interface OnlineReadingDeps {
  readonly store: HoldingStore
  /** What spans call the store. @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
  readonly system?: () => string
  /** Absent: a view counts as complete. */
  readonly views?: Pick<OnlineViews, 'holds' | 'noteFailure'>
  /** Whether a view is kept in the online store; one that is not is answered from the offline history. */
  readonly isOnline: (view: DefinitionId) => boolean
  /** States that were read recently, for when the store is down. Absent: none are kept. */
  readonly staleCache?: StaleCache | null
  /** Called with every failure of the online store, also if the request is answered. */
  readonly onStoreError?: (error: unknown) => void
  /** The keys of which these transactions wrote rows. */
  readonly written: ReadYourWritesDeps['written']
}

export interface FeatureMoment {
  /** Epoch microseconds. */
  readonly asOf: number
  /**
   * True if the caller named the moment; false if it is this machine's "now", which a skewed clock may put before what
   * is stored.
   */
  readonly asked: boolean
  /** What to answer while the online store cannot be read. Default: the error. */
  readonly onUnavailable?: OnUnavailable
  /**
   * When to stop waiting for the online store, milliseconds of `performance.now()`, so that time is left for the
   * fallback. Absent: the store's own timeout.
   */
  readonly giveUpAt?: number | undefined
  /** The pushes that the read must include. */
  readonly pushed?: Pushed
  /** After it the read is not evaluated any more. */
  readonly deadline?: RequestDeadline | undefined
  /** The span of the request; undefined: it is not recorded. */
  readonly span?: Span | undefined
  /** The place of the request; undefined: it has none. */
  readonly place?: Place | undefined
  /** The index of each entity in the request, for errors. Absent: its own index. */
  readonly rows?: readonly number[]
}

export interface OnlineRead {
  readonly plan: ViewPlan
  readonly key: EntityKey
}

/** Reads the online store for a request, once or more. */
export class OnlineReading {
  readonly service: ServicePlan
  readonly entities: readonly ServedEntity[]
  readonly moment: FeatureMoment
  /** By index of the service's `uses`. */
  readonly online: readonly boolean[]
  readonly requests: readonly OnlineRead[]
  /** Epoch microseconds; `readAhead` moves it. */
  asOf: number
  /** Why the store could not be read, if a fallback is answered. */
  unavailable: LockstepError | null = null
  staleMs: number | null = null
  /** Indexes of the requests whose answers lack what was pushed. */
  withoutPushed: ReadonlySet<number> = none
  readonly #deps: OnlineReadingDeps

  constructor(deps: OnlineReadingDeps, service: ServicePlan, entities: readonly ServedEntity[], moment: FeatureMoment) {
    const { uses } = service
    const online = uses.map((use) => deps.isOnline(use.plan.id))
    const requests: OnlineRead[] = []
    for (const entity of entities) {
      for (let u = 0; u < uses.length; u++)
        if (online[u]) requests.push({ plan: (uses[u] as { plan: ViewPlan }).plan, key: entity.keys[u] as EntityKey })
    }
    this.#deps = deps
    this.service = service
    this.entities = entities
    this.moment = moment
    this.asOf = moment.asOf
    this.online = online
    this.requests = requests
  }

  /** The error; one about the state of one entity names the entity. */
  named(error: unknown): unknown {
    return nameEntity(this.service, this.entities, this.moment.rows, error)
  }

  /** A read of thousands of entities may end after the deadline. @throws LockstepError `DEADLINE_EXCEEDED` */
  requireInTime(): void {
    requireTime(this.moment.deadline)
  }

  read(behind: boolean, after?: Pushed): Promise<OnlineAnswer[]> {
    const { onUnavailable = 'error', giveUpAt } = this.moment
    // the usual case, without a further async function
    if (onUnavailable === 'error' && giveUpAt === undefined && after === undefined) return this.#readStore(behind)
    return this.#readOrElse(onUnavailable, behind, after)
  }

  /**
   * Moves the moment of the request if the clock of another machine is ahead of this one, so that all values have one
   * moment.
   */
  async readAhead(first: OnlineAnswer[]): Promise<OnlineAnswer[]> {
    let answers = first
    let ahead = greatestHighWater(answers)
    for (let tries = 0; ahead > this.asOf && tries < 3; tries++) {
      this.asOf = ahead
      answers = await this.read(false)
      ahead = greatestHighWater(answers)
    }
    return answers
  }

  async #readOrElse(onUnavailable: OnUnavailable, behind: boolean, after?: Pushed): Promise<OnlineAnswer[]> {
    try {
      if (after === undefined) return await beforeGivingUp(this.moment.giveUpAt, this.#readStore(behind))
      const { store, written } = this.#deps
      const deps: ReadYourWritesDeps = { store, written: (plan, keys, by) => written(plan, keys, by, this.moment.place) }
      const read = await readYourWrites(deps, this.requests, after, (again) => this.#readStore(again))
      this.withoutPushed = read.lacking
      return read.answers
    } catch (error) {
      if (onUnavailable === 'error' || !isStoreUnavailable(error)) throw error
      this.unavailable ??= error
      return this.#fallback(error, onUnavailable)
    }
  }

  #readStore(behind: boolean): Promise<OnlineAnswer[]> {
    const { store, views, staleCache, onStoreError } = this.#deps
    const begun = staleCache?.begin()
    const unsure = views === undefined ? null : this.#notHeld(views)
    const ask = (): Promise<OnlineAnswer[]> => readOnline(store, this.requests, this.asOf, behind, this)
    const complete = unsure === null ? ask : () => requireComplete(store, unsure).then(ask)
    const { span } = this.moment
    const reading = span === undefined ? complete() : traced(span, 'read online store', (own) => this.#recorded(own, complete), 'client')
    const note = (answers: OnlineAnswer[]): OnlineAnswer[] => {
      if (begun !== undefined) staleCache?.note(begun, this.requests, answers)
      return answers
    }
    const failed = (cause: unknown): never => {
      views?.noteFailure(cause)
      const error = this.named(cause)
      onStoreError?.(error)
      throw error
    }
    return reading.then((answers) => {
      // a server that came back during the read may have answered as another store
      const changed = views === undefined || unsure !== null ? null : this.#notHeld(views)
      return changed === null ? note(answers) : requireComplete(store, changed).then(ask).then(note).catch(failed)
    }, failed)
  }

  #recorded<T>(span: Span | undefined, ask: () => T): T {
    span?.set({
      'db.system.name': this.#deps.system?.(),
      'db.operation.name': 'MGET',
      'db.operation.batch.size': this.requests.length,
    })
    return ask()
  }

  /** The views that the store may not hold; null, as usual: none. */
  #notHeld(views: Pick<OnlineViews, 'holds'>): ViewPlan[] | null {
    let unsure: ViewPlan[] | null = null
    for (const [u, { plan }] of this.service.uses.entries()) if (this.online[u] === true && !views.holds(plan)) (unsure ??= []).push(plan)
    return unsure
  }

  /** The answers while the store is down. */
  #fallback(error: LockstepError, onUnavailable: OnUnavailable): OnlineAnswer[] {
    const { staleCache } = this.#deps
    return this.requests.map(({ plan, key }) => {
      // a stale state does not say that it includes what was pushed
      const state = this.moment.pushed === undefined ? (staleCache?.find(plan, key) ?? null) : null
      if (state === null) {
        if (onUnavailable === 'stale') throw error
        return unavailableAnswer(plan, this.asOf)
      }
      try {
        const answer = storedAnswer(plan, key, state.bytes, this.asOf)
        if (answer.values !== null) this.staleMs = Math.max(this.staleMs ?? 0, state.ageMs)
        return answer
      } catch (cause) {
        throw this.named(cause)
      }
    })
  }
}

const none: ReadonlySet<number> = new Set()

/** @throws LockstepError `REDIS_UNAVAILABLE`, as for a store that is down, if the read takes longer */
function beforeGivingUp<T>(giveUpAt: number | undefined, read: Promise<T>): Promise<T> {
  if (giveUpAt === undefined) return read
  const timeoutError = () =>
    new LockstepError('REDIS_UNAVAILABLE', 'The online store did not answer within the time that the request allows.')
  return withTimeout(read, giveUpAt - performance.now(), timeoutError)
}

export function greatestHighWater(answers: readonly OnlineAnswer[]): number {
  let greatest = Number.NEGATIVE_INFINITY
  for (const { highWater } of answers) if (highWater > greatest) greatest = highWater
  return greatest
}
