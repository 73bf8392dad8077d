import type { EntityKey } from '../../kernel/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Frontier } from '../../kernel/frontier.ts'
import { frontierText, intersection } from '../../kernel/frontier.ts'
import { isOfOneEntity, readSetAside, setAsideError } from '../../kernel/set-aside.ts'
import { readHeader } from '../../kernel/stored-state.ts'
import type { ServedEntity, ServicePlan, ServiceRow } from '../../kernel/service-plan.ts'
import type { ViewValues } from '../../kernel/state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/view-spec.ts'
import type { HistoryRequest } from '../../offline/history.ts'
import { readOnline, storedAnswer } from '../../online/read.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import type { HoldingStore } from '../../online/completeness.ts'
import { requireComplete } from '../../online/completeness.ts'
import type { ReadYourWritesDeps, Pushed } from './read-your-writes.ts'
import { readYourWrites } from './read-your-writes.ts'
import type { RequestDeadline } from '../traffic/request-deadline.ts'
import { requireTime } from '../traffic/request-deadline.ts'
import { withTimeout } from '../../runtime/async.ts'
import type { Span } from '../../runtime/tracing/span.ts'
import { traced, tracedNow } from '../../runtime/tracing/span.ts'
import type { LateViews } from './late-views.ts'
import type { ServedAgeMetrics } from './served-age-metrics.ts'
import type { StaleCache } from './stale-cache.ts'
import type { OnlineViews } from './online-views.ts'
import { nameEntity, entityError } from './entity-error.ts'
import type { ReadOrigin } from '../../monitoring/prediction-log/provenance.ts'
import { originsOf } from '../../monitoring/prediction-log/provenance.ts'
import { evaluateRows, refuseMissing } from './service-rows.ts'
import type { OnUnavailable } from './fallback-policy.ts'
import { isStoreUnavailable, unavailableAnswer } from './fallback-policy.ts'

export interface FeatureReaderDeps {
  readonly store: HoldingStore
  /** What spans call the store. @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
  readonly system?: () => string
  /** Absent: a view counts as complete. */
  readonly views?: Pick<OnlineViews, 'holds' | 'noteFailure'>
  /** Whether a view is kept in the online store; one that is not is answered from the offline history. */
  readonly isOnline: (view: DefinitionId) => boolean
  /**
   * Reads the offline history, by index of the requests, from one snapshot of the data. `onSeen` gets its transactions.
   */
  readonly history: (requests: readonly HistoryRequest[], onSeen: (seen: Frontier) => void) => Promise<readonly ViewValues[]>
  /** States that were read recently, for when the store is down. Absent: none are kept. */
  readonly staleCache?: StaleCache | null
  /** Called with every failure of the online store, also if the request is answered. */
  readonly onStoreError?: (error: unknown) => void
  /** The keys of which these transactions wrote rows. */
  readonly written: ReadYourWritesDeps['written']
  /** Which scheduled views lack a run that is due. Absent: none is reported. */
  readonly late?: LateViews
  /** Absent: how old answers are is not measured. */
  readonly ages?: ServedAgeMetrics
  /** Called with every read. */
  readonly onRead?: (service: ServicePlan, read: FeatureRead) => void
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
  /** What the read must include. */
  readonly pushed?: Pushed
  /** After it the read is not evaluated any more. */
  readonly deadline?: RequestDeadline | undefined
  /** Of the request; undefined: it is not recorded. */
  readonly span?: Span | undefined
  /** What errors call each entity: its index in the request. Absent: its own index. */
  readonly rows?: readonly number[]
}

export interface FeatureRead {
  readonly entities: readonly ServedEntity[]
  /** By index of the entities. */
  readonly rows: readonly ServiceRow[]
  /** The one moment that all of it holds for, epoch microseconds. */
  readonly asOf: number
  /**
   * True if this machine's clock is behind what is stored: then `asOf` is the greatest high-water mark that was read.
   */
  readonly skewed: boolean
  /** True if the online store could not be read: then its views are stale, or defaults with status UNAVAILABLE. */
  readonly degraded: boolean
  /** How long ago the oldest stale state was read, milliseconds; null: none is stale. */
  readonly staleMs: number | null
  /** Scheduled views that lack a run which was due by this moment. */
  readonly late: readonly DefinitionId[]
  /** How long the values were computed after the states were read, milliseconds. */
  readonly evaluateMs: number
  /** How many answers, each of one entity and view, came from the history. */
  readonly fromHistory: number
  /**
   * By view: the transactions whose rows are in every answer of this read (`frontierText`); null where nothing is
   * stored. Online views only.
   */
  frontiers(): ReadonlyMap<DefinitionId, string | null>
  /** By entity, and there by index of the service's `uses`. */
  origins(): ReadOrigin[][]
}

/**
 * The service's features for each entity at one moment, by the same `evaluate` as training. It reads the online store
 * once for all entities and views, and the offline history once for what the store cannot answer.
 *
 * @throws LockstepError `REQUIRED_FEATURE_MISSING` naming the entity's index and the features; `TRANSFORM_FAILED` or
 *   `INVALID_ENTITY` naming the index of an entity whose data an on-demand view cannot take or makes an unwritable text
 *   of; `TOO_MANY_CATEGORIES` naming the index; what the stores throw
 */
export function readFeatures(
  deps: FeatureReaderDeps,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  moment: FeatureMoment,
): Promise<FeatureRead> {
  const { span } = moment
  if (span === undefined) return read(deps, service, entities, moment)
  return traced(span, 'read features', (own) => {
    own?.set({
      'lockstep.service': service.id,
      'lockstep.views': service.uses.map(({ plan }) => plan.id),
      'lockstep.entities': entities.length,
    })
    return read(deps, service, entities, { ...moment, span: own })
  })
}

async function read(
  deps: FeatureReaderDeps,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  moment: FeatureMoment,
): Promise<FeatureRead> {
  const reading = new OnlineReading(deps, service, entities, moment)
  const asked = deps.late?.of(service, deps.store, moment.asOf) ?? noneLateViews
  const lateViews = asked instanceof Promise ? await asked : asked
  let answers = await reading.read(true, moment.pushed)
  if (!moment.asked && greatestHighWater(answers) > reading.asOf) answers = await readAhead(reading, answers)
  if (!moment.asked) deps.ages?.note(reading.requests, answers, reading.asOf)
  const found = foundIn(reading, service, entities, moment.asked, answers)
  if (found.lacking !== null) for (const { damage } of answers) if (damage !== undefined) deps.onStoreError?.(damage)
  if (found.lacking !== null)
    await askHistory(deps, service, entities, found.values, found.lacking, moment, () => refuseSetAside(reading, answers))
  const result = featuresOf(reading, service, entities, moment, answers, found, lateViews)
  deps.onRead?.(service, result)
  return result
}

/**
 * Moves the moment of the request if the clock of another machine is ahead of this one, so that all values have one
 * moment.
 */
async function readAhead(reading: OnlineReading, first: OnlineAnswer[]): Promise<OnlineAnswer[]> {
  let answers = first
  let ahead = greatestHighWater(answers)
  for (let tries = 0; ahead > reading.asOf && tries < 3; tries++) {
    reading.asOf = ahead
    answers = await reading.read(false)
    ahead = greatestHighWater(answers)
  }
  return answers
}

/** The values in the answers, and what to read from the history. */
function foundIn(
  { asOf, lacking: lackPushed, online, requests }: OnlineReading,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  isAsked: boolean,
  answers: readonly OnlineAnswer[],
): Found {
  const { uses } = service
  // If one entity of a view is read from the history, entities without a state are too: they may have rows that are not
  // materialized yet.
  const past = isAsked ? viewsOfPast(requests, answers) : noViews
  const values = new Array<ViewValues | null>(entities.length * uses.length)
  let lacking: Lacking | null = null
  let next = 0
  for (let e = 0, at = 0; e < entities.length; e++) {
    for (let u = 0; u < uses.length; u++, at++) {
      const { plan } = uses[u] as { plan: ViewPlan }
      const lacksPushed = online[u] === true && lackPushed.has(next)
      const answer = online[u] === true ? (answers[next++] as OnlineAnswer) : null
      const own = answer === null || lacksPushed || (answer.frontier === null && past.has(plan.id)) ? null : answer.values
      if (own === null) {
        // a state includes only the rows of the online store, and so must the answer in its place
        const isOverCap = answer !== null && answer.values === null && asOf >= answer.highWater
        lacking ??= { missing: [], missingAt: [], seen: null }
        lacking.missing.push({ plan, key: (entities[e] as ServedEntity).keys[u] as EntityKey, asOf, onlineOnly: lacksPushed || isOverCap })
        lacking.missingAt.push(at)
      }
      values[at] = own
    }
  }
  return { values, lacking }
}

/** Fills in what the online store could not answer. */
async function askHistory(
  deps: FeatureReaderDeps,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  values: (ViewValues | null)[],
  lacking: Lacking,
  { rows: entityRows, span }: FeatureMoment,
  refuse: () => void,
): Promise<void> {
  const ask = (own: Span | undefined): Promise<readonly ViewValues[]> => {
    own?.set({ 'db.system.name': 'postgresql', 'lockstep.answers': lacking.missing.length })
    return deps.history(lacking.missing, (frontier) => (lacking.seen = frontier))
  }
  const asked = traced(span, 'read history', ask, 'client')
  const found = await asked.catch((error: unknown) => {
    if (isOfOneEntity(error)) refuse()
    throw nameEntity(service, entities, entityRows, error)
  })
  for (const [i, at] of lacking.missingAt.entries()) values[at] = found[i] as ViewValues
}

/**
 * The history fails on the rows for which an entity was set aside.
 *
 * @throws LockstepError `ENTITY_SET_ASIDE` for the first such entity
 */
function refuseSetAside({ requests, online, entityRows }: OnlineReading, answers: readonly OnlineAnswer[]): void {
  const each = online.filter(Boolean).length
  for (const [i, { bytes }] of answers.entries()) {
    const { plan, key } = requests[i] as OnlineRead
    const aside = bytes === null ? null : readSetAside(bytes, readHeader(bytes, plan.id))
    if (aside === null) continue
    const { message, details } = setAsideError(plan, key, aside)
    const entity = Math.floor(i / each)
    throw entityError(
      entityRows?.[entity] ?? entity,
      new LockstepError('ENTITY_SET_ASIDE', message, { details: { ...details, cause: aside.code } }),
    )
  }
}

/** @param values complete by now */
function featuresOf(
  reading: OnlineReading,
  service: ServicePlan,
  entities: readonly ServedEntity[],
  moment: FeatureMoment,
  answers: readonly OnlineAnswer[],
  { values, lacking }: Found,
  late: readonly DefinitionId[],
): FeatureRead {
  const { asOf, online, requests } = reading
  const begunMs = performance.now()
  const rows = tracedNow(moment.span, 'evaluate', () => evaluateRows(service, entities, values as ViewValues[], asOf, moment.rows))
  const evaluateMs = performance.now() - begunMs
  // a default is no value of a required feature
  const failure = reading.unavailable
  if (failure !== null && rows.some((row) => row.missing.length > 0)) throw failure
  refuseMissing(service, rows, asOf, moment.rows)
  const { missing, missingAt, seen } = lacking ?? nothingMissing
  return {
    entities,
    rows,
    asOf,
    skewed: asOf !== moment.asOf,
    degraded: failure !== null,
    staleMs: reading.staleMs,
    late,
    evaluateMs,
    fromHistory: missing.length,
    frontiers: () => frontiersOf(requests, answers),
    origins: () => originsOf({ online, values: values as ViewValues[], answers, missing, missingAt, seen }),
  }
}

interface OnlineRead {
  readonly plan: ViewPlan
  readonly key: EntityKey
}

/** What to read from the history. `missingAt` says, by index of `missing`, which of the values that is. */
interface Lacking {
  readonly missing: HistoryRequest[]
  readonly missingAt: number[]
  /** The transactions that the history included. */
  seen: Frontier | null
}

/** The values for a request, by entity and in the order of the service's `uses`. */
interface Found {
  /** null: to be read from the history. */
  readonly values: (ViewValues | null)[]
  readonly lacking: Lacking | null
}

/** Reads the online store for a request, once or more. */
class OnlineReading {
  asOf: number
  /** By index of the service's `uses`. */
  readonly online: readonly boolean[]
  readonly requests: readonly OnlineRead[]
  /** Why the store could not be read, if a fallback is answered. */
  unavailable: LockstepError | null = null
  staleMs: number | null = null
  /** Indexes of the requests whose answers lack what was pushed. */
  lacking: ReadonlySet<number> = noneLacking
  /** What errors call each entity. */
  readonly entityRows: readonly number[] | undefined
  readonly #deps: FeatureReaderDeps
  readonly #service: ServicePlan
  readonly #entities: readonly ServedEntity[]
  readonly #moment: FeatureMoment

  constructor(deps: FeatureReaderDeps, service: ServicePlan, entities: readonly ServedEntity[], moment: FeatureMoment) {
    const { uses } = service
    const online = uses.map((use) => deps.isOnline(use.plan.id))
    const requests: OnlineRead[] = []
    for (const entity of entities) {
      for (let u = 0; u < uses.length; u++)
        if (online[u]) requests.push({ plan: (uses[u] as { plan: ViewPlan }).plan, key: entity.keys[u] as EntityKey })
    }
    this.#deps = deps
    this.#service = service
    this.#entities = entities
    this.#moment = moment
    this.asOf = moment.asOf
    this.entityRows = moment.rows
    this.online = online
    this.requests = requests
  }

  /** A read of thousands of entities may end after the deadline. @throws LockstepError `DEADLINE_EXCEEDED` */
  requireInTime(): void {
    requireTime(this.#moment.deadline)
  }

  read(behind: boolean, after?: Pushed): Promise<OnlineAnswer[]> {
    const { onUnavailable = 'error', giveUpAt } = this.#moment
    // the usual case, without a further async function
    if (onUnavailable === 'error' && giveUpAt === undefined && after === undefined) return this.#readStore(behind)
    return this.#readOrElse(onUnavailable, behind, after)
  }

  async #readOrElse(onUnavailable: OnUnavailable, behind: boolean, after?: Pushed): Promise<OnlineAnswer[]> {
    try {
      if (after === undefined) return await beforeGivingUp(this.#moment.giveUpAt, this.#readStore(behind))
      const read = await readYourWrites(this.#deps, this.requests, after, (again) => this.#readStore(again))
      this.lacking = read.lacking
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
    const { span } = this.#moment
    const reading = span === undefined ? complete() : traced(span, 'read online store', (own) => this.#recorded(own, complete), 'client')
    const note = (answers: OnlineAnswer[]): OnlineAnswer[] => {
      if (begun !== undefined) staleCache?.note(begun, this.requests, answers)
      return answers
    }
    const failed = (cause: unknown): never => {
      views?.noteFailure(cause)
      const error = nameEntity(this.#service, this.#entities, this.entityRows, cause)
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
    for (const [u, { plan }] of this.#service.uses.entries()) if (this.online[u] === true && !views.holds(plan)) (unsure ??= []).push(plan)
    return unsure
  }

  /** What is answered while the store is down. */
  #fallback(error: LockstepError, onUnavailable: OnUnavailable): OnlineAnswer[] {
    const { staleCache } = this.#deps
    return this.requests.map(({ plan, key }) => {
      // a stale state does not say that it includes what was pushed
      const state = this.#moment.pushed === undefined ? (staleCache?.find(plan, key) ?? null) : null
      if (state === null) {
        if (onUnavailable === 'stale') throw error
        return unavailableAnswer(plan, this.asOf)
      }
      try {
        const answer = storedAnswer(plan, key, state.bytes, this.asOf)
        if (answer.values !== null) this.staleMs = Math.max(this.staleMs ?? 0, state.ageMs)
        return answer
      } catch (cause) {
        throw nameEntity(this.#service, this.#entities, this.entityRows, cause)
      }
    })
  }
}

const nothingMissing: Lacking = { missing: [], missingAt: [], seen: null }
const noViews: ReadonlySet<DefinitionId> = new Set()
const noneLacking: ReadonlySet<number> = new Set()
const noneLateViews: readonly DefinitionId[] = []

/** @throws LockstepError `REDIS_UNAVAILABLE`, as for a store that is down, if the read takes longer */
function beforeGivingUp<T>(giveUpAt: number | undefined, read: Promise<T>): Promise<T> {
  if (giveUpAt === undefined) return read
  const timeoutError = () =>
    new LockstepError('REDIS_UNAVAILABLE', 'The online store did not answer within the time that the request allows.')
  return withTimeout(read, Math.max(0, giveUpAt - performance.now()), timeoutError)
}

function greatestHighWater(answers: readonly OnlineAnswer[]): number {
  let greatest = Number.NEGATIVE_INFINITY
  for (const { highWater } of answers) if (highWater > greatest) greatest = highWater
  return greatest
}

/** The views that have an answer without values, because the moment is before the state's. */
function viewsOfPast(requests: readonly OnlineRead[], answers: readonly OnlineAnswer[]): ReadonlySet<DefinitionId> {
  const views = new Set<DefinitionId>()
  for (const [i, { values }] of answers.entries()) if (values === null) views.add((requests[i] as OnlineRead).plan.id)
  return views
}

function frontiersOf(requests: readonly { plan: ViewPlan }[], answers: readonly OnlineAnswer[]): Map<DefinitionId, string | null> {
  const common = new Map<DefinitionId, Frontier | null>()
  for (const [i, { frontier }] of answers.entries()) {
    const view = (requests[i] as { plan: ViewPlan }).plan.id
    const before = common.get(view) ?? null
    common.set(view, before === null || frontier === null ? (frontier ?? before) : intersection(before, frontier))
  }
  return new Map([...common].map(([view, frontier]) => [view, frontier === null ? null : frontierText(frontier)]))
}
