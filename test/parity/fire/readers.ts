import { setTimeout } from 'node:timers/promises'
import { encodeKey } from '../../../kernel/entity-key.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { noTransactions } from '../../../kernel/frontier.ts'
import type { ViewValues } from '../../../kernel/state.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import type { HistoryRequest } from '../../../offline/history.ts'
import { readOnline } from '../../../online/read.ts'
import type { OnlineStore } from '../../../online/store.ts'
import { fireEntities, seeded } from './fire-events.ts'

export interface ReadAnswer {
  readonly request: HistoryRequest
  readonly values: ViewValues
}

/** One reader: asks for some entities over and over, and keeps every answer with its moment and frontier. */
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
      for (const [i, answer] of (await readOnline(store, requests, asOf)).entries()) {
        const request = requests[i]
        // before the high-water mark only the history answers
        if (request === undefined || answer.values === null) continue
        answers.push({ request: { ...request, asOf, frontier: answer.frontier ?? noTransactions }, values: answer.values })
      }
    } catch (error) {
      if (!(error instanceof LockstepError && ['REDIS_UNAVAILABLE', 'NOT_READY'].includes(error.code))) throw error
    }
    await setTimeout(20 + random() * 60)
  }
}
