import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { cutText } from '../../kernel/values/cut-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { includes, noTransactions, union } from '../../kernel/states/frontier.ts'
import { parsePushToken } from '../../kernel/push-token.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { sourceRelation } from '../../runtime/postgres/relation.ts'
import { backoffMs, sleep } from '../../runtime/async.ts'
import { tryCheckpoints } from '../../online/checkpoint.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Place } from '../traffic/place.ts'

const maxWaitMs = 250
const pollBackoff = { firstMs: 2, maxMs: 20 }

/** The transactions of pushes that a read must include, by the relation of a source. */
export type Pushed = ReadonlyMap<string, Frontier>

/** @throws LockstepError `INVALID_REQUEST`; `NOT_PUSHABLE` for a source that accepts no events */
export function pushedBy(tokens: readonly string[], { sources, pushSource }: Pick<Catalog, 'sources' | 'pushSource'>): Pushed {
  const pushed = new Map<string, Frontier>()
  for (const token of tokens) {
    const { source, written } = parsePushToken(token)
    if (!sources.has(source)) {
      throw new LockstepError(
        'INVALID_REQUEST',
        `The token "${cutText(token, 100)}" belongs to the source "${cutText(source, 100)}", which is not in the registry. Send the "token" of a push unchanged.`,
      )
    }
    const relation = sourceRelation(pushSource(source))
    pushed.set(relation, union(pushed.get(relation) ?? noTransactions, written))
  }
  return pushed
}

export interface ReadYourWritesDeps {
  readonly store: Pick<OnlineStore, 'read'>
  /** The keys that have rows of these transactions. */
  readonly written: (plan: ViewPlan, keys: readonly EntityKey[], by: Frontier, place?: Place) => Promise<ReadonlySet<EntityKey>>
}

const none: ReadonlySet<number> = new Set()

interface Read {
  readonly answers: OnlineAnswer[]
  /** Indexes of the answers that lack what was pushed. */
  readonly lacking: ReadonlySet<number>
}

/**
 * Reads until the answers include what was pushed, for up to 250 ms.
 *
 * - The state of an entity, or the checkpoint of its view, names the transactions that it includes.
 * - If it lacks a pushed transaction, the table is asked whether that transaction wrote rows of the entity. Only then
 *   the read waits.
 * - A checkpoint is true of states that are read after it.
 *
 * @param read answers `requests`, by index; with `behind` as of `OnlineStore.read`
 */
export async function readYourWrites(
  deps: ReadYourWritesDeps,
  requests: readonly { readonly plan: ViewPlan; readonly key: EntityKey }[],
  pushed: Pushed,
  read: (behind: boolean) => Promise<OnlineAnswer[]>,
): Promise<Read> {
  let answers = await read(true)
  const lackingOf = (indexes: Iterable<number>): number[] => [...indexes].filter((i) => lacks(answers, requests, pushed, i))
  const first = lackingOf(requests.keys())
  if (first.length === 0) return { answers, lacking: none }
  const found = await ofEntities(deps, requests, pushed, first)
  let { lacking } = found
  if (found.folded) answers = await read(false)
  const end = performance.now() + maxWaitMs
  // a scheduled view changes by its schedule only
  const isExpected = (): boolean => lacking.some((i) => requests[i]?.plan.spec.availability.kind === 'continuous')
  for (let tries = 1; isExpected() && performance.now() < end; tries++) {
    await sleep(backoffMs(tries, pollBackoff))
    answers = await read(false)
    lacking = lackingOf(lacking)
  }
  return { answers, lacking: new Set(lacking) }
}

function lacks(answers: readonly OnlineAnswer[], requests: readonly { readonly plan: ViewPlan }[], pushed: Pushed, i: number): boolean {
  const { spec } = (requests[i] as { plan: ViewPlan }).plan
  const wanted = pushed.get(sourceRelation(spec.source))
  return wanted !== undefined && !includes(answers[i]?.frontier ?? noTransactions, wanted)
}

/**
 * The indexes whose entities the pushes wrote rows of, except where the checkpoint of the view includes the pushes.
 *
 * @returns `folded`: whether a checkpoint does. Its states may have been written after they were read.
 */
async function ofEntities(
  { store, written }: ReadYourWritesDeps,
  requests: readonly { readonly plan: ViewPlan; readonly key: EntityKey }[],
  pushed: Pushed,
  indexes: readonly number[],
): Promise<{ lacking: number[]; folded: boolean }> {
  const byView = new Map<DefinitionId, { readonly plan: ViewPlan; readonly indexes: number[] }>()
  for (const i of indexes) {
    const { plan } = requests[i] as { plan: ViewPlan }
    const group = byView.get(plan.id)
    if (group === undefined) byView.set(plan.id, { plan, indexes: [i] })
    else group.indexes.push(i)
  }
  const checkpoints = await tryCheckpoints(store, [...byView.keys()])
  const lacking: number[] = []
  let folded = false
  for (const [at, { plan, indexes: ofView }] of [...byView.values()].entries()) {
    const wanted = pushed.get(sourceRelation(plan.spec.source)) ?? noTransactions
    const checkpoint = checkpoints[at] ?? null
    if (checkpoint !== null && !(checkpoint instanceof LockstepError) && includes(checkpoint.frontier, wanted)) {
      folded = true
      continue
    }
    const keyOf = (i: number): EntityKey => (requests[i] as { key: EntityKey }).key
    const keys = await written(plan, [...new Set(ofView.map(keyOf))], wanted)
    lacking.push(...ofView.filter((i) => keys.has(keyOf(i))))
  }
  return { lacking, folded }
}
