import { setTimeout } from 'node:timers/promises'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { noTransactions } from '../../../kernel/states/frontier.ts'
import type { Frontier } from '../../../kernel/states/frontier.ts'
import type { ViewValues } from '../../../kernel/states/state.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import type { HistoryRequest } from '../../../offline/history.ts'
import type { Checkpoint } from '../../../online/checkpoint.ts'
import { tryCheckpoints } from '../../../online/checkpoint.ts'
import { readOnline } from '../../../online/read.ts'
import type { OnlineStore } from '../../../online/store.ts'
import { fireEntities, seeded } from './fire-events.ts'

export interface ReadAnswer {
  readonly request: HistoryRequest
  readonly values: ViewValues
  /**
   * Nothing was stored of the entity: that none of the transactions that its view's checkpoint held before had a row of
   * it.
   */
  readonly absent: boolean
  /** When its read had ended, epoch microseconds. */
  readonly answeredAt: number
}

/**
 * One reader: asks for some entities over and over, and keeps every answer with its moment and frontier; of what is
 * absent, the frontier of the checkpoint.
 */
export async function read(
  store: OnlineStore,
  plans: readonly ViewPlan[],
  seed: number,
  over: () => boolean,
  answers: ReadAnswer[],
): Promise<void> {
  const random = seeded(seed)
  while (!over()) {
    const requests = plans.flatMap((plan) =>
      plan.key.length === 0
        ? random() < 0.02 // one entity of all rows is dear to ask the history for
          ? [{ plan, key: '' }]
          : []
        : Array.from({ length: 5 }, () => ({ plan, key: encodeKey(plan.key, [Math.floor(random() ** 2 * fireEntities)]) })),
    )
    const asOf = Date.now() * 1000
    try {
      const checkpoints = await tryCheckpoints(
        store,
        plans.map(({ id }) => id),
      )
      const frontiers = new Map(plans.map((plan, i) => [plan, frontierOf(checkpoints[i] ?? null)]))
      const answered = await readOnline(store, requests, asOf)
      const answeredAt = Date.now() * 1000
      for (const [i, answer] of answered.entries()) {
        const request = requests[i]
        // before the high-water mark only the history answers
        if (request === undefined || answer.values === null) continue
        const frontier = answer.frontier ?? frontiers.get(request.plan) ?? noTransactions
        answers.push({ request: { ...request, asOf, frontier }, values: answer.values, absent: answer.frontier === null, answeredAt })
      }
    } catch (error) {
      if (!(error instanceof LockstepError && ['REDIS_UNAVAILABLE', 'NOT_READY'].includes(error.code))) throw error
    }
    await setTimeout(20 + random() * 60)
  }
}

/** A reader that has only begun holds nothing. */
function frontierOf(checkpoint: Checkpoint | LockstepError | null): Frontier {
  return checkpoint === null || checkpoint instanceof LockstepError || checkpoint.frontier.below <= 0 ? noTransactions : checkpoint.frontier
}
