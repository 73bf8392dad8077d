import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import type { HistogramCell } from '../../runtime/counted-histogram.ts'
import { CountedHistogram } from '../../runtime/counted-histogram.ts'

/** One read in so many is looked at. */
const every = 16
/** How many answers of one read are in the sample. */
const maxAnswers = 64

/** How old views are when requests are answered from them. */
export interface ServedAgeMetrics {
  /**
   * Call it for each read as of now.
   *
   * @param asOf epoch microseconds
   */
  note(
    requests: readonly { readonly plan: Pick<ViewPlan, 'id'> }[],
    answers: readonly Pick<OnlineAnswer, 'highWater'>[],
    asOf: number,
  ): void
}

interface Served {
  readonly seconds: HistogramCell
  /** The greatest high-water mark in an answer, epoch microseconds. */
  newest: number
}

/**
 * @param clock epoch microseconds
 * @param onAge called for each answer that is looked at
 */
export function createServedAgeMetrics(
  registry: Registry,
  clock: () => number,
  onAge: (view: DefinitionId, seconds: number) => void = () => undefined,
): ServedAgeMetrics {
  const seconds = new CountedHistogram({
    name: 'lockstep_served_age_seconds',
    help: "Age of what is answered: from the moment that the entity's newest stored row counts, to the answer. Sampled: one read in 16, and up to 64 answers of it. Entities without stored rows are not in it.",
    labelNames: ['view'],
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400, 604_800],
    registers: [registry],
  })
  const views = new Map<DefinitionId, Served>()
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_served_newest_age_seconds',
      help: 'Age of the newest row in any answer of this server, by the sample of lockstep_served_age_seconds. Compare it with lockstep_view_freshness_target_seconds.',
      labelNames: ['view'],
      aggregator: 'min',
      registers: [],
      collect() {
        this.reset()
        for (const [view, { newest }] of views) this.set({ view }, Math.max(0, clock() - newest) / 1e6)
      },
    }),
  )

  function servedOf(view: DefinitionId): Served {
    let served = views.get(view)
    if (served === undefined) views.set(view, (served = { seconds: seconds.cell({ view }), newest: Number.NEGATIVE_INFINITY }))
    return served
  }

  let reads = 0
  return {
    note(requests, answers, asOf) {
      const read = reads++
      if (read % every !== 0) return
      // another part of the answers each time, so that all views of a large service come up
      const taken = Math.min(answers.length, maxAnswers)
      const from = taken < answers.length ? ((read / every) * maxAnswers) % answers.length : 0
      for (let i = 0; i < taken; i++) {
        const at = (from + i) % answers.length
        const [request, answer] = [requests[at], answers[at]]
        if (request === undefined || answer === undefined || answer.highWater === Number.NEGATIVE_INFINITY) continue
        const served = servedOf(request.plan.id)
        const age = Math.max(0, asOf - answer.highWater) / 1e6
        served.seconds.observe(age)
        onAge(request.plan.id, age)
        if (answer.highWater > served.newest) served.newest = answer.highWater
      }
    },
  }
}
