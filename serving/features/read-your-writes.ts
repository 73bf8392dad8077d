import type { EntityKey } from '../../kernel/entity-key.ts'
import { cutText } from '../../kernel/cut-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Frontier } from '../../kernel/frontier.ts'
import { includes, noTransactions, union } from '../../kernel/frontier.ts'
import { parsePushToken } from '../../kernel/push-token.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/view-spec.ts'
import { backoffMs, sleep } from '../../runtime/async.ts'
import { tryCheckpoints } from '../../online/checkpoint.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import type { OnlineStore } from '../../online/store.ts'

const maxWaitMs = 250
const pollBackoff = { firstMs: 2, maxMs: 20 }

/** What a read is to see at least, by source: the transactions of the pushes that it comes after. */
export type Pushed = ReadonlyMap<string, Frontier>

/**
 * @param sources those that there are
 * @throws LockstepError `INVALID_REQUEST`
 */
export function pushedBy(tokens: readonly string[], sources: ReadonlyMap<string, unknown>): Pushed {
  const pushed = new Map<string, Frontier>()
  for (const token of tokens) {
    const { source, written } = parsePushToken(token)
    if (!sources.has(source)) {
      throw new LockstepError(
        'INVALID_REQUEST',
        `The token "${cutText(token, 100)}" belongs to the source "${cutText(source, 100)}", which is not in the registry. Send the "token" of a push unchanged.`,
      )
    }
    pushed.set(source, union(pushed.get(source) ?? noTransactions, written))
  }
  return pushed
}

export interface AwaitPushedDeps {
  readonly store: Pick<OnlineStore, 'read'>
  /** Those of the keys that have rows of these transactions. */
  readonly written: (plan: ViewPlan, keys: readonly EntityKey[], by: Frontier) => Promise<ReadonlySet<EntityKey>>
}

const none: ReadonlySet<number> = new Set()

interface Read {
  readonly answers: OnlineAnswer[]
  /** Indexes of the answers that lack what was pushed. */
  readonly late: ReadonlySet<number>
}

/**
 * Reads until the answers hold what was pushed, for a bounded time. An entity's state, or the checkpoint of its view, says which transactions are in it; of one that does not hold
 * them the table is asked whether they wrote rows of it at all. What a checkpoint says holds of what is read after it.
 *
 * @param read answers `requests`, by index; with `behind` as of `OnlineStore.read`
 */
export async function awaitPushed(
  deps: AwaitPushedDeps,
  requests: readonly { readonly plan: ViewPlan; readonly key: EntityKey }[],
  pushed: Pushed,
  read: (behind: boolean) => Promise<OnlineAnswer[]>,
): Promise<Read> {
  let answers = await read(true)
  const lacking = (indexes: Iterable<number>): number[] => [...indexes].filter((i) => lacks(answers, requests, pushed, i))
  const first = lacking(requests.keys())
  if (first.length === 0) return { answers, late: none }
  const found = await ofEntities(deps, requests, pushed, first)
  let { late } = found
  if (found.folded) answers = await read(false)
  const end = performance.now() + maxWaitMs
  // a scheduled view has to wait for its schedule
  const comes = (): boolean => late.some((i) => requests[i]?.plan.spec.availability.kind === 'continuous')
  for (let tries = 1; comes() && performance.now() < end; tries++) {
    await sleep(backoffMs(tries, pollBackoff))
    answers = await read(false)
    late = lacking(late)
  }
  return { answers, late: new Set(late) }
}

function lacks(answers: readonly OnlineAnswer[], requests: readonly { readonly plan: ViewPlan }[], pushed: Pushed, i: number): boolean {
  const { spec } = (requests[i] as { plan: ViewPlan }).plan
  const wanted = spec.source.relation.kind === 'owned' ? pushed.get(spec.source.name) : undefined
  return wanted !== undefined && !includes(answers[i]?.frontier ?? noTransactions, wanted)
}

/** Those of the indexes whose entities the pushes wrote rows of, as far as the views' checkpoints do not hold them; and whether a checkpoint does, whose states may have come after they were read. */
async function ofEntities(
  { store, written }: AwaitPushedDeps,
  requests: readonly { readonly plan: ViewPlan; readonly key: EntityKey }[],
  pushed: Pushed,
  indexes: readonly number[],
): Promise<{ late: number[]; folded: boolean }> {
  const byView = new Map<DefinitionId, { readonly plan: ViewPlan; readonly indexes: number[] }>()
  for (const i of indexes) {
    const { plan } = requests[i] as { plan: ViewPlan }
    const group = byView.get(plan.id)
    if (group === undefined) byView.set(plan.id, { plan, indexes: [i] })
    else group.indexes.push(i)
  }
  const checkpoints = await tryCheckpoints(store, [...byView.keys()])
  const late: number[] = []
  let folded = false
  for (const [at, { plan, indexes: ofView }] of [...byView.values()].entries()) {
    const wanted = pushed.get(plan.spec.source.name) ?? noTransactions
    const checkpoint = checkpoints[at] ?? null
    if (checkpoint !== null && !(checkpoint instanceof LockstepError) && includes(checkpoint.frontier, wanted)) {
      folded = true
      continue
    }
    const keyOf = (i: number): EntityKey => (requests[i] as { key: EntityKey }).key
    const keys = await written(plan, [...new Set(ofView.map(keyOf))], wanted)
    late.push(...ofView.filter((i) => keys.has(keyOf(i))))
  }
  return { late, folded }
}
