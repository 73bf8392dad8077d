import { measuredText } from '../../../kernel/values/duration.ts'
import { parseSchedule } from '../../../kernel/schedule.ts'
import { dayMicros, formatTimestamp, hourMicros } from '../../../kernel/values/time.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import { readRunWaits } from '../../../monitoring/freshness/run-waits.ts'
import type { ServedAge } from '../../../monitoring/freshness/served-ages.ts'
import { servedAgeSeries } from '../../../monitoring/freshness/served-ages.ts'
import type { RowStage } from '../../../materializer/row-delays.ts'
import { readRowDelays } from '../../../materializer/row-delays.ts'
import { lastRunAt } from '../../../materializer/status.ts'
import { isEmbedded } from '../../../runtime/postgres/database.ts'
import { hasWorker } from '../../../runtime/postgres/worker-sessions.ts'
import type { Definition } from '../../../registry/definition.ts'
import type { OnlineState } from '../../find/definition-page.ts'
import { definition as definitionContract } from '../contract/definition.ts'
import type { FreshnessData, ViewData } from '../contract/view.ts'
import { freshness as freshnessContract, view as viewContract } from '../contract/view.ts'
import { spanText } from '../models/traffic-charts.ts'
import { readModel } from '../read-model.ts'
import { definitionData, formatMoment } from './definition-data.ts'

export const viewModel = readModel({
  path: '/views/:id',
  scope: 'ui:read',
  data: viewContract,
  async read(ask) {
    const { db, now, isPast } = ask
    const { page, data, definition, notes } = await definitionData(ask, ask.params['id'] ?? '', ['view', 'onDemand'], { online: true })
    const id = `${definition.name}@${definition.version}` as const
    const plan = ask.deps.catalog().views.get(id)
    const lastRunSeconds = page.online?.freshness?.lastRunSeconds ?? null
    const next = plan === undefined ? null : nextRun(plan, now)
    const answer: ViewData = {
      ...data,
      ...(isPast ? stateThen(definition) : { online: page.online !== undefined, ...stateOf(page.online) }),
      lastRun: isPast ? await lastRunAt(db, id, now) : lastRunSeconds === null ? null : formatMoment(now - lastRunSeconds * 1e6),
      nextRun: next,
      // the process that serves an embedded database runs its views
      lacksWorker: next !== null && !isPast && !isEmbedded(db) && !(await hasWorker(db)),
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
  data: freshnessContract,
  async read(ask) {
    const { page, definition } = await definitionData(ask, ask.params['id'] ?? '', ['view', 'onDemand'], { online: true })
    const { db, now } = ask
    const id = `${definition.name}@${definition.version}`
    const window = { from: now - dayMicros, to: now }
    const waits = await readRunWaits(db, id, now)
    const { total: served, hours, ...ages } = await servedAgeSeries(db, id, window)
    const span = spanText({ from: formatTimestamp(ages.from), to: formatTimestamp(ages.to) })
    const { freshnessSeconds = null, newestRowSeconds = null, lag = null } = page.online?.freshness ?? {}
    const points = (of: 'medianSeconds' | 'p95Seconds') =>
      hours.map(({ at, age }) => ({ t: at / 1000, v: age?.[of] ?? null, n: age?.answers ?? 0 }))
    // the hour of a past moment has rows of after it
    const to = ask.isPast ? Math.floor(now / hourMicros) * hourMicros : now + hourMicros
    const delays = await readRowDelays(db, id, { from: to - dayMicros, to })
    const hasKnown = definition.kind === 'view' && definition.spec.source.known !== null
    const total = delays.get('known to materialized')
    const rows =
      total === undefined
        ? 'No new row was measured in the last day. Rows that the first run of a view reads as its history are not measured.'
        : `Half of the new rows were in an online state within ${measuredText(total.p50)}, 99 of 100 within ${measuredText(total.p99)}.`
    const answers =
      served === null
        ? `No answer was sampled${span}. Answers for a past moment have no age.`
        : `Half of the answers${span} were at most ${measuredText(served.medianSeconds)} old, 95 of 100 at most ${measuredText(served.p95Seconds)}, counted from the newest row of the entity.`
    const data: FreshnessData = {
      finding: rows,
      boundSeconds: freshnessSeconds,
      stages: stagesOf(delays, hasKnown, served),
      waits: [
        { name: 'Age of the newest row', seconds: newestRowSeconds, of: null },
        { name: 'Oldest row that waits', seconds: lag === null || lag.rows === 0 ? null : lag.seconds, of: null },
        { name: 'Oldest row of a run', seconds: waits.p50, of: `the median of ${waits.runs} ${waits.runs === 1 ? 'run' : 'runs'}` },
      ].filter(({ seconds: waited }) => waited !== null),
      served: {
        finding: answers,
        series: [
          { label: 'p50', unit: 'seconds', points: points('medianSeconds') },
          { label: 'p95', unit: 'seconds', points: points('p95Seconds') },
        ],
      },
    }
    return { data, sampled: 'one read in 16' }
  },
})

/** Whether the online store held it completely at a past moment is not recorded. */
function stateThen({ operational }: Definition): Pick<ViewData, 'online' | 'state' | 'says'> {
  if (operational.online !== true) return { online: false, ...stateOf(undefined) }
  return { online: true, state: 'unknown', says: 'How far it was behind its source then is not recorded; the ages of answers are.' }
}

/**
 * The stages from the event to the answer. No row is recorded for the last one: it is the median age of answers less
 * the medians of the stages before.
 */
function stagesOf(delays: Awaited<ReturnType<typeof readRowDelays>>, hasKnown: boolean, served: ServedAge | null): FreshnessData['stages'] {
  const stage = (name: string, of: RowStage, missing: string): FreshnessData['stages'][number] => {
    const delay = delays.get(of)
    const rows = delay === undefined ? '' : `${delay.rows.toLocaleString('en-US')} ${delay.rows === 1 ? 'row' : 'rows'} of the last day`
    return { name, p50: delay?.p50 ?? null, p99: delay?.p99 ?? null, says: delay === undefined ? missing : rows }
  }
  const none = 'no new row of the last day was measured'
  const total = delays.get('known to materialized')
  const known = stage('event → known', 'known', hasKnown ? none : 'the source declares no known time: an event is known as it happens')
  const isRecorded = delays.has('ingested')
  const unrecorded = total === undefined ? none : 'when rows came into the table is not recorded: other programs write it'
  return [
    known,
    stage('known → ingested', 'ingested', unrecorded),
    isRecorded || total === undefined
      ? stage('ingested → materialized', 'materialized', none)
      : stage('known → materialized', 'known to materialized', none),
    {
      name: 'materialized → served',
      p50: served === null || total === undefined ? null : Math.max(0, served.medianSeconds - total.p50),
      p99: null,
      says:
        served === null
          ? 'no answer was sampled'
          : total === undefined
            ? none
            : 'the rest of the median age of answers, counted from the newest row of the entity',
    },
  ]
}

function stateOf(online: OnlineState | undefined): Pick<ViewData, 'state' | 'says'> {
  if (online === undefined) return { state: 'offline', says: 'It is not kept in the online store.' }
  const { ready, problem, freshness } = online
  if (freshness === null) return { state: 'unknown', says: problem ?? 'The online store does not answer.' }
  if (!ready || freshness.late !== null) return { state: 'late', says: freshness.late ?? problem ?? 'It is not complete.' }
  if (freshness.lag === null) return { state: 'ready', says: 'It holds all rows of its last run. How many came since is not known.' }
  const { rows, seconds: waited } = freshness.lag
  if (rows === 0) return { state: 'fresh', says: 'All rows of its source are in it.' }
  return {
    state: 'fresh',
    says: `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row waits' : 'rows wait'}, for up to ${measuredText(waited)}.`,
  }
}

/** The next instant of a schedule. */
function nextRun({ spec }: ViewPlan, now: number): string | null {
  const { availability } = spec
  if (availability.kind !== 'schedule') return null
  return formatMoment(parseSchedule(availability.schedule).at(now + 1))
}
