import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import type { ServedEntity } from '../../kernel/service-plan.ts'
import { isOfOneEntity, readSetAside, setAsideError } from '../../kernel/states/set-aside.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import { readHeader } from '../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { HistoryRequest } from '../../offline/history.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import type { Span } from '../../runtime/tracing/span.ts'
import { traced } from '../../runtime/tracing/span.ts'
import type { Place } from '../traffic/place.ts'
import { entityError } from './entity-error.ts'
import type { OnlineRead, OnlineReading } from './online-reading.ts'

/**
 * Reads the offline history from one snapshot, by index of the requests. `onSeen` gets the transactions in it. `place`
 * is given back while the read waits for its turn.
 */
export type AskHistory = (
  requests: readonly HistoryRequest[],
  onSeen: (seen: Frontier) => void,
  place?: Place,
) => Promise<readonly ViewValues[]>

/** The values for a request, by entity and in the order of the service's `uses`. */
export interface FoundValues {
  /** null: to be read from the history. */
  readonly values: (ViewValues | null)[]
  readonly missing: MissingValues | null
}

interface MissingValues {
  readonly requests: HistoryRequest[]
  /** By index of `requests`: where its value belongs. */
  readonly at: number[]
  /** The transactions that the history included. */
  seen: Frontier | null
}

/** The values in the answers of the online store, and what to read from the history. */
export function findValues(reading: OnlineReading, answers: readonly OnlineAnswer[]): FoundValues {
  const { asOf, withoutPushed, online, entities, moment } = reading
  const { uses } = reading.service
  // If one entity of a view is read from the history, entities without a state are too: they may have rows that are not
  // materialized yet.
  const past = moment.asked ? viewsOfPast(reading.requests, answers) : noViews
  const values = new Array<ViewValues | null>(entities.length * uses.length)
  let missing: MissingValues | null = null
  let next = 0
  for (let e = 0, at = 0; e < entities.length; e++) {
    for (let u = 0; u < uses.length; u++, at++) {
      const { plan } = uses[u] as { plan: ViewPlan }
      const lacksPushed = online[u] === true && withoutPushed.has(next)
      const answer = online[u] === true ? (answers[next++] as OnlineAnswer) : null
      const own = answer === null || lacksPushed || (answer.frontier === null && past.has(plan.id)) ? null : answer.values
      if (own === null) {
        // a state includes only the rows of the online store, and so must the answer in its place
        const isOverCap = answer !== null && answer.values === null && asOf >= answer.highWater
        missing ??= { requests: [], at: [], seen: null }
        missing.requests.push({ plan, key: (entities[e] as ServedEntity).keys[u] as EntityKey, asOf, onlineOnly: lacksPushed || isOverCap })
        missing.at.push(at)
      }
      values[at] = own
    }
  }
  return { values, missing }
}

/** Fills in what the online store could not answer. */
export async function fillFromHistory(
  history: AskHistory,
  reading: OnlineReading,
  answers: readonly OnlineAnswer[],
  values: (ViewValues | null)[],
  missing: MissingValues,
): Promise<void> {
  const ask = (own: Span | undefined): Promise<readonly ViewValues[]> => {
    own?.set({ 'db.system.name': 'postgresql', 'lockstep.answers': missing.requests.length })
    return history(missing.requests, (frontier) => (missing.seen = frontier), reading.moment.place)
  }
  const asked = traced(reading.moment.span, 'read history', ask, 'client')
  const found = await asked.catch((error: unknown) => {
    if (isOfOneEntity(error)) refuseSetAside(reading, answers)
    throw reading.named(error)
  })
  for (const [i, at] of missing.at.entries()) values[at] = found[i] as ViewValues
}

/**
 * The history fails on the rows for which an entity was set aside.
 *
 * @throws LockstepError `ENTITY_SET_ASIDE` for the first such entity
 */
function refuseSetAside({ requests, online, moment }: OnlineReading, answers: readonly OnlineAnswer[]): void {
  const each = online.filter(Boolean).length
  for (const [i, { bytes }] of answers.entries()) {
    const { plan, key } = requests[i] as OnlineRead
    const aside = bytes === null ? null : readSetAside(bytes, readHeader(bytes, plan.id))
    if (aside === null) continue
    const { message, details } = setAsideError(plan, key, aside)
    const entity = Math.floor(i / each)
    throw entityError(
      moment.rows?.[entity] ?? entity,
      new LockstepError('ENTITY_SET_ASIDE', message, { details: { ...details, cause: aside.code } }),
    )
  }
}

const noViews: ReadonlySet<DefinitionId> = new Set()

/** The views that have an answer without values, because the moment is before the state's. */
function viewsOfPast(requests: readonly OnlineRead[], answers: readonly OnlineAnswer[]): ReadonlySet<DefinitionId> {
  const views = new Set<DefinitionId>()
  for (const [i, { values }] of answers.entries()) if (values === null) views.add((requests[i] as OnlineRead).plan.id)
  return views
}
