import type { EntityKey } from '../kernel/entity-key.ts'
import type { ViewValues } from '../kernel/state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { servedTime } from '../kernel/view-plan.ts'
import type { Database } from '../runtime/database.ts'
import type { Question } from './merge.ts'
import { merge } from './merge.ts'
import { sourceRows } from './source-stream.ts'
import { eventBound } from './stream-bounds.ts'
import { streamId } from './stream-groups.ts'
import type { Pass } from './stream-groups.ts'

export interface HistoryRequest {
  readonly plan: ViewPlan
  /** null: an entity that cannot be there. */
  readonly key: EntityKey | null
  /** Epoch microseconds. */
  readonly asOf: number
}

/**
 * What views said about entities at past moments, from the source tables, through the same states as everything else. Made for a few hundred requests at a
 * time; all of them see the same data.
 *
 * @returns by index of the requests
 */
export async function readHistory(db: Database, requests: readonly HistoryRequest[]): Promise<ViewValues[]> {
  const answers = new Array<ViewValues>(requests.length)
  const groups = new Map<string, number[]>()
  for (const [index, { plan, key, asOf }] of requests.entries()) {
    if (key === null) {
      answers[index] = plan.newState().valueAt(asOf)
      continue
    }
    const id = streamId(plan)
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [index])
    else group.push(index)
  }
  if (groups.size === 0) return answers
  await db.snapshot(async (snapshot) => {
    for (const indexes of groups.values()) {
      const asked = indexes.map((index) => ({ index, ...(requests[index] as HistoryRequest) }))
      const plans = [...new Map(asked.map(({ plan }) => [plan.id, plan])).values()]
      const times = asked.map(({ asOf }) => asOf)
      const bounds = {
        keys: [...new Set(asked.map(({ key }) => key as EntityKey))],
        until: maximum(times),
        ...eventBound(plans, minimum(times)),
      }
      await merge(
        passOf(plans),
        questionsOf(asked, plans),
        [sourceRows(snapshot, plans, bounds)],
        { rule: servedTime, bound: 'at' },
        (question, values) => {
          answers[question.ordinal] = values[0] as ViewValues
        },
      )
    }
  })
  return answers
}

/** One stream; each of its views is asked by itself. */
function passOf(plans: readonly ViewPlan[]): Pass {
  return {
    key: plans[0]?.key ?? [],
    streams: [{ plans }],
    mappings: plans.map((_, plan) => ({ columns: [], asked: [{ use: plan, stream: 0, plan }] })),
  }
}

type Asked = HistoryRequest & { readonly index: number }

async function* questionsOf(asked: readonly Asked[], plans: readonly ViewPlan[]): AsyncGenerator<Question[]> {
  yield asked
    .map(({ key, asOf, index, plan }) => ({
      key: key as EntityKey,
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
