import { z } from 'zod'
import { formatDuration } from '../../../kernel/duration.ts'
import { parseSchedule } from '../../../kernel/schedule.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import { readRunWaits } from '../../../monitoring/freshness/run-waits.ts'
import { readServedAges, servedAgeSeries } from '../../../monitoring/freshness/served-ages.ts'
import { lastRunAt } from '../../../materializer/status.ts'
import type { Definition } from '../../../registry/definition.ts'
import type { OnlineState } from '../../find/definition-page.ts'
import { definition as definitionContract } from '../contract/definition.ts'
import type { FreshnessData, ViewData } from '../contract/view.ts'
import { freshness as freshnessContract, view as viewContract } from '../contract/view.ts'
import { readModel } from '../read-model.ts'
import { definitionData, momentOf } from './definition-data.ts'

const dayMicros = 86_400_000_000

export const viewModel = readModel({
  path: '/views/:id',
  scope: 'ui:read',
  data: viewContract,
  async read(ask) {
    const { db, now, isPast } = ask
    const { page, data, definition, notes } = await definitionData(ask, ask.params['id'] ?? '', ['view', 'onDemand'])
    const id = `${definition.name}@${definition.version}` as const
    const plan = ask.deps.catalog().views.get(id)
    const lastRunSeconds = page.online?.freshness?.lastRunSeconds ?? null
    const answer: ViewData = {
      ...data,
      ...(isPast ? stateThen(definition) : { online: page.online !== undefined, ...stateOf(page.online) }),
      lastRun: isPast ? await lastRunAt(db, id, now) : lastRunSeconds === null ? null : momentOf(now - lastRunSeconds * 1e6),
      nextRun: plan === undefined ? null : nextRun(plan, now),
    }
    return { data: answer, notes }
  },
})

export const serviceModel = readModel({
  path: '/services/:id',
  scope: 'ui:read',
  data: definitionContract,
  async read(ask) {
    const { data, notes } = await definitionData(ask, ask.params['id'] ?? '', ['service'])
    return { data, notes }
  },
})

export const freshnessModel = readModel({
  path: '/views/:id/freshness',
  scope: 'ui:read',
  query: z.object({}),
  data: freshnessContract,
  async read(ask) {
    const { page, definition, notes } = await definitionData(ask, ask.params['id'] ?? '', ['view', 'onDemand'])
    const { db, now } = ask
    const id = `${definition.name}@${definition.version}`
    const window = { from: now - dayMicros, to: now }
    const waits = await readRunWaits(db, id, now)
    const served = (await readServedAges(db, window)).get(id) ?? null
    const series = await servedAgeSeries(db, id, window)
    const { freshnessSeconds = null, newestRowSeconds = null, lag = null } = page.online?.freshness ?? {}
    const points = (of: 'medianSeconds' | 'p95Seconds') =>
      series.map(({ at, age }) => ({ t: at / 1000, v: age?.[of] ?? null, n: age?.answers ?? 0 }))
    const stages: FreshnessData['stages'] = [
      { name: 'event to now: the newest row', p50: newestRowSeconds, p99: null },
      { name: 'known to materialized: rows that wait now', p50: lag?.seconds ?? null, p99: null },
      { name: `known to materialized: at most, by ${waits.runs} runs of the last day`, p50: waits.p50, p99: waits.p99 },
      {
        name: 'known to served: as answered in the last day (p50, p95)',
        p50: served?.medianSeconds ?? null,
        p99: served?.p95Seconds ?? null,
      },
    ]
    const finding =
      served === null
        ? 'No answer of the last day was looked at.'
        : `Half of the answers were at most ${seconds(served.medianSeconds)} old, 95 of 100 at most ${seconds(served.p95Seconds)}.`
    const data: FreshnessData = {
      finding,
      boundSeconds: freshnessSeconds,
      stages,
      served: {
        finding,
        series: [
          { label: 'p50', unit: 'seconds', points: points('medianSeconds') },
          { label: 'p95', unit: 'seconds', points: points('p95Seconds') },
        ],
      },
    }
    return { data, sampled: 'a share of the answers', notes }
  },
})

/** Whether the online store held it completely at a past moment is not recorded. */
function stateThen({ operational }: Definition): Pick<ViewData, 'online' | 'state' | 'says'> {
  if (operational.online !== true) return { online: false, ...stateOf(undefined) }
  return { online: true, state: 'unknown', says: 'How far it was behind its source then is not recorded; the ages of answers are.' }
}

function stateOf(online: OnlineState | undefined): Pick<ViewData, 'state' | 'says'> {
  if (online === undefined) return { state: 'offline', says: 'It is not kept in the online store.' }
  const { ready, problem, freshness } = online
  if (freshness === null) return { state: 'unknown', says: problem ?? 'The online store does not answer.' }
  if (!ready || freshness.late !== null) return { state: 'late', says: freshness.late ?? problem ?? 'It is not complete.' }
  if (freshness.lag === null) return { state: 'unknown', says: 'How far it is behind its source is not known.' }
  const { rows, seconds: waited } = freshness.lag
  if (rows === 0) return { state: 'fresh', says: 'All rows of its source are in it.' }
  return { state: 'fresh', says: `${rows.toLocaleString('en-US')} rows wait, for up to ${seconds(waited)}.` }
}

/** The next instant of a schedule. */
function nextRun({ spec }: ViewPlan, now: number): string | null {
  const { availability } = spec
  if (availability.kind !== 'schedule') return null
  return momentOf(parseSchedule(availability.schedule).at(now + 1))
}

function seconds(value: number): string {
  return formatDuration(Math.max(1, Math.round(value)) * 1_000_000)
}
