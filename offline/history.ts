import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { covers, frontierOf, frontierText, noTransactions } from '../kernel/states/frontier.ts'
import type { ViewValues } from '../kernel/states/state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { servedTime } from '../kernel/view-plan.ts'
import type { Database, Snapshot } from '../runtime/postgres/database.ts'
import type { Lookup } from './lookup.ts'
import { merge } from './merge.ts'
import type { SourceRow } from './rows/row-decoder.ts'
import type { SourceStreamOptions } from './rows/source-stream.ts'
import { sourceRows } from './rows/source-stream.ts'
import { eventBound, fewer } from './rows/stream-bounds.ts'
import { streamId } from './rows/stream-groups.ts'
import type { Pass } from './rows/stream-groups.ts'
import { unlessAborted } from '../runtime/async.ts'

/** The maximum number of requests in one query, which lists their keys. */
const requestsPerQuery = 500

export interface HistoryRequest {
  readonly plan: ViewPlan
  /** null: an entity that cannot exist. */
  readonly key: EntityKey | null
  /** Epoch microseconds. */
  readonly asOf: number
  /**
   * Only rows of these transactions count, so that the answer is the one of an online state with this frontier. The
   * source's table must have arrival columns. Absent: all rows.
   */
  readonly frontier?: Frontier
  /**
   * Whether rows with `_online_only` count, as they do in a state. Default: whether `frontier` is set.
   */
  readonly onlineOnly?: boolean
}

interface Asked extends HistoryRequest {
  readonly key: EntityKey
  readonly index: number
}

export interface HistoryOptions {
  /** Ends the queries that are running. */
  readonly signal?: AbortSignal
  /** Called with the transactions whose rows the answers include, where the database was asked. */
  readonly onSeen?: ((seen: Frontier) => void) | undefined
}

/**
 * The values of views for entities at past moments, computed from the source tables with the same states as everywhere.
 * All requests see the same data.
 *
 * @returns by index of the requests
 * @throws the signal's reason when it is aborted, and what the database throws
 */
export async function readHistory(db: Database, requests: readonly HistoryRequest[], options: HistoryOptions = {}): Promise<ViewValues[]> {
  const answers = new Array<ViewValues>(requests.length)
  const groups = new Map<string, Asked[]>()
  for (const [index, request] of requests.entries()) {
    const { plan, key, asOf, frontier, onlineOnly = frontier !== undefined } = request
    if (key === null) {
      answers[index] = plan.newState().valueAt(asOf)
      continue
    }
    const id = `${frontier === undefined ? 'all' : 'some'} ${onlineOnly} ${streamId(plan)}`
    const group = groups.get(id)
    const asked = { ...request, key, index, onlineOnly }
    if (group === undefined) groups.set(id, [asked])
    else group.push(asked)
  }
  if (groups.size === 0) return answers
  await db.snapshot((snapshot) =>
    unlessAborted(options.signal, async () => {
      options.onSeen?.(frontierOf(snapshot.bounds))
      for (const group of groups.values()) {
        for (const part of unambiguous(group)) {
          for (let at = 0; at < part.length; at += requestsPerQuery) {
            await readPortion(snapshot, part.slice(at, at + requestsPerQuery), answers)
          }
        }
      }
    }),
  )
  return answers
}

/**
 * Splits the requests so that within a part each key has one frontier, because a stream applies one frontier to a key.
 */
function unambiguous(asked: readonly Asked[]): (readonly Asked[])[] {
  if (asked[0]?.frontier === undefined) return [asked]
  const parts: { readonly frontiers: Map<EntityKey, string>; readonly asked: Asked[] }[] = []
  for (const each of asked) {
    const text = frontierText(each.frontier ?? noTransactions)
    let part = parts.find(({ frontiers }) => (frontiers.get(each.key) ?? text) === text)
    if (part === undefined) parts.push((part = { frontiers: new Map(), asked: [] }))
    part.frontiers.set(each.key, text)
    part.asked.push(each)
  }
  return parts.map((part) => part.asked)
}

/** The requests of one stream. */
async function readPortion(snapshot: Snapshot, asked: readonly Asked[], answers: ViewValues[]): Promise<void> {
  const plans = [...new Map(asked.map(({ plan }) => [plan.id, plan])).values()]
  const times = asked.map(({ asOf }) => asOf)
  const bounds = {
    keys: [...new Set(asked.map(({ key }) => key))],
    until: maximum(times),
    onlineOnly: asked[0]?.onlineOnly === true,
    ...eventBound(plans, minimum(times)),
  }
  const lookups = lookupsOf(asked, plans)
  const rows =
    asked[0]?.frontier === undefined
      ? sourceRows(snapshot, plans, await fewer(snapshot, plans, { lookups, bound: 'at' }, bounds, {}))
      : rowsWithin(snapshot, plans, asked, bounds)
  await merge(passOf(plans), inOneBatch(lookups), [rows], { rule: servedTime, bound: 'at' }, (lookup, values) => {
    const { values: kept, statuses, eventTime } = values[0] as ViewValues
    answers[lookup.ordinal] = { values: [...kept], statuses: [...statuses], eventTime }
  })
}

/** The rows of each key that its frontier covers. */
async function* rowsWithin(
  snapshot: Snapshot,
  plans: readonly ViewPlan[],
  asked: readonly Asked[],
  bounds: SourceStreamOptions,
): AsyncGenerator<readonly SourceRow[]> {
  const frontiers = new Map(asked.map(({ key, frontier }) => [key, frontier ?? noTransactions]))
  const to = maximum([...frontiers.values()].map(({ below, beyond }) => beyond.at(-1)?.to ?? below))
  const stream = sourceRows(snapshot, plans, { ...bounds, arrival: { from: 0, to }, withXid: true })
  for await (const batch of stream) yield batch.filter(({ key, xid }) => covers(frontiers.get(key) ?? noTransactions, xid))
}

/** One stream; each of its views has its own mapping. */
function passOf(plans: readonly ViewPlan[]): Pass {
  return {
    key: plans[0]?.key ?? [],
    streams: [{ plans }],
    mappings: plans.map((_, plan) => ({ columns: [], asked: [{ use: plan, stream: 0, plan }] })),
  }
}

async function* inOneBatch(lookups: readonly Lookup[]): AsyncGenerator<readonly Lookup[]> {
  yield lookups
}

function lookupsOf(asked: readonly Asked[], plans: readonly ViewPlan[]): Lookup[] {
  return asked
    .map(({ key, asOf, index, plan }) => ({
      key,
      time: asOf,
      ordinal: index,
      mapping: plans.findIndex(({ id }) => id === plan.id),
    }))
    .sort((a, b) => (a.key === b.key ? a.time - b.time : a.key < b.key ? -1 : 1))
}

function minimum(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)
}

function maximum(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
}
