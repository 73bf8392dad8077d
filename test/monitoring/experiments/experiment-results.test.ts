import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { experimentPlanText } from '../../../cli/text/experiment-plan-text.ts'
import { experimentText } from '../../../cli/text/experiment-text.ts'
import type { ExperimentSpec } from '../../../kernel/specs/experiment-spec.ts'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import { analyzeExperiment } from '../../../monitoring/experiments/analyze-experiment.ts'
import { analyzeRun, requireRun } from '../../../monitoring/experiments/analyze-run.ts'
import type { ExperimentEvidence } from '../../../monitoring/experiments/experiment-evidence.ts'
import { gatherExperimentEvidence } from '../../../monitoring/experiments/experiment-evidence.ts'
import { experimentReport } from '../../../monitoring/experiments/experiment-report.ts'
import type { VariantComparison, ExperimentResult } from '../../../monitoring/experiments/experiment-result.ts'
import { experimentsJobs } from '../../../monitoring/experiments/experiments-job.ts'
import { exportUnits, unitColumns } from '../../../monitoring/experiments/export-units.ts'
import { planExperiment } from '../../../monitoring/experiments/plan-experiment.ts'
import { planUnits } from '../../../monitoring/experiments/plan-units.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { decideExperiment } from '../../../registry/experiments/decide-experiment.ts'
import { unitsNeeded } from '../../../statistics/power.ts'
import { createRandom } from '../../../statistics/random.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import type { Exposure, Order } from './shop.ts'
import { addExposures, addOrders, addPredictions, addProfiles, applyShop, day, hour, start } from './shop.ts'

const users = 2000
/** Of the spending in a week; the treatment adds to it only in France. */
const effect = 20

let opened: OpenedDatabase
let catalog: Catalog
let spec: ExperimentSpec
let run: number
const exposures: Exposure[] = []
const orders: Order[] = []

/**
 * Each user spends about as much after the exposure as before. In the treatment users order at once, in the control
 * over the week: so the treatment is ahead at first, also where it adds nothing.
 */
function makeRows(): void {
  const random = createRandom(12)
  for (let u = 0; u < users; u++) {
    const user = `u${u}`
    const treated = u % 2 === 1
    const at = start + Math.floor(random.next() * 10 * day)
    exposures.push({ user, variant: treated ? 'treatment' : 'control', at })
    const habit = 100 + 20 * random.normal()
    const order = (ordered: number, amount: number): void => {
      orders.push({ user, at: ordered, known: ordered + Math.floor(random.next() * day), amount, items: 2, returned: random.next() < 0.3 })
    }
    order(at - 3 * day, habit + 5 * random.normal())
    const added = treated && isFrench(user) ? effect : 0
    for (let i = 0; i < 2; i++) {
      const after = treated ? random.next() * day : random.next() * 5.9 * day
      order(at + Math.floor(after), (habit + added) / 2 + 5 * random.normal())
    }
  }
}

function isFrench(user: string): boolean {
  return Number(user.slice(1)) % 4 < 2
}

beforeAll(async () => {
  makeRows()
  opened = await openServer()
  ;({ catalog, spec } = await applyShop(opened.db))
  await addOrders(opened.db, orders)
  await addProfiles(
    opened.db,
    exposures.map(({ user }) => user),
    (user) => (isFrench(user) ? 'fr' : 'de'),
  )
  run = await addExposures(opened.db, spec, exposures)
})
afterAll(() => opened?.close())

async function gather(asOf: number, wanted: ExperimentSpec = spec): Promise<ExperimentEvidence> {
  return await gatherExperimentEvidence(opened.db, catalog, wanted, { experimentId: run, experiment: 'offers', unit: 'user', asOf })
}

let evidenceAtEnd: Promise<ExperimentEvidence> | null = null

/** The evidence once all units are mature. */
async function complete(): Promise<ExperimentEvidence> {
  return await (evidenceAtEnd ??= gather(start + 20 * day))
}

function revenue({ metrics }: ExperimentResult): VariantComparison {
  return metrics[0]?.comparisons[0] as VariantComparison
}

function holds(comparison: VariantComparison | undefined, truth: number): boolean {
  const { difference } = comparison ?? {}
  return difference !== null && difference !== undefined && difference.low <= truth && difference.high >= truth
}

function width({ difference }: VariantComparison): number {
  return difference === null ? Number.NaN : difference.high - difference.low
}

describe('an experiment with a known effect', () => {
  test('is estimated without bias while outcomes come in, where a plain count is not', async () => {
    const asOf = start + 9 * day
    const evidence = await gather(asOf)
    const result = analyzeExperiment(spec, evidence, null)
    expect(result.metrics[0]?.arms.every(({ units, immature }) => units > 50 && immature > 500)).toBe(true)
    expect(holds(revenue(result), effect / 2)).toBe(true)
    // the sum so far of all exposed units
    const plain = ['control', 'treatment'].map((variant) => {
      const units = exposures.filter((each) => each.variant === variant && each.at <= asOf)
      const exposedAt = new Map(units.map(({ user, at }) => [user, at]))
      const so = orders.filter(({ user, at, known }) => at >= (exposedAt.get(user) ?? Infinity) && known <= asOf)
      return so.reduce((sum, { amount }) => sum + (amount ?? 0), 0) / units.length
    })
    const naive = (plain[1] ?? 0) - (plain[0] ?? 0)
    expect(naive).toBeGreaterThan(effect / 2 + 10)
    expect(holds(revenue(result), naive)).toBe(false)
  })

  test('says when the first unit that waits and all exposed so far will be mature', async () => {
    const asOf = start + 9 * day
    const text = async (at: number, wanted: ExperimentSpec = spec): Promise<[ExperimentResult, string]> => {
      const result = analyzeExperiment(wanted, await gather(at, wanted), null)
      return [result, result.health.find(({ check }) => check === 'maturity')?.text ?? '']
    }
    const matures = (at: number, after: number): { first: string; last: string } => {
      const moments = exposures.filter((each) => each.at <= at && each.at + after > at).map((each) => each.at + after)
      return { first: formatTimestamp(Math.min(...moments)), last: formatTimestamp(Math.max(...moments)) }
    }
    const [some, someText] = await text(asOf)
    expect(some.progress.maturesAt).toEqual(matures(asOf, 7 * day))
    expect(someText).toMatch(
      /% of the units are mature\. The others count later: the first at .* UTC, the last of those exposed so far at .* UTC\. Units that count later in other metrics: \d+ of "\w+".*\.$/,
    )
    // an outcome has its own time after the window
    const byOutcome = { ...spec, metrics: spec.metrics.filter(({ name }) => name === 'click_worth') }
    const [none, noneText] = await text(start + 5 * day, byOutcome)
    expect(none.progress.maturesAt).toEqual(matures(start + 5 * day, 9 * day))
    expect(noneText).toMatch(/^No unit is mature yet: .* The units count later: the first at 2026-03-11 00:\d\d UTC, the last /)
    expect((await complete()).metrics[0]?.immatureSince).toBeNull()
  })

  test('counts new units by complete days, and names their rate from seven of them on', async () => {
    const begin = Math.min(...exposures.map(({ at }) => at))
    const count = (from: number, to: number): number => exposures.filter(({ at }) => at > from && at <= to).length
    for (const [asOf, days] of [
      [begin + 7 * day - hour, 6],
      [begin + 7 * day + hour, 7],
    ] as const) {
      const evidence = await gather(asOf)
      const ends = Array.from({ length: days }, (_, i) => asOf - (days - 1 - i) * day)
      expect(evidence.exposures.newByDay).toEqual(ends.map((end) => count(end - day, end)))
      expect(evidence.exposures.units.reduce((sum, units) => sum + units, 0)).toBe(count(0, asOf))
      const { unitsByDay } = analyzeExperiment(spec, evidence, null).progress
      expect(unitsByDay).toBe(days < 7 ? null : count(asOf - 2 * day, asOf) / 2)
    }
  })

  test('has narrower intervals with the covariate, as theory says', async () => {
    const without: ExperimentSpec = { ...spec, covariates: [] }
    const adjusted = analyzeExperiment(spec, await complete(), null)
    const plain = analyzeExperiment(without, await gather(start + 20 * day, without), null)
    const explained = adjusted.metrics[0]?.explained ?? 0
    expect(explained).toBeGreaterThan(0.5)
    expect(width(revenue(adjusted)) / width(revenue(plain))).toBeCloseTo(Math.sqrt(1 - explained), 1)
    expect(holds(revenue(adjusted), effect / 2) && holds(revenue(plain), effect / 2)).toBe(true)
  })

  test('shows in which slice the effect is, and how it falls with the time since the exposure', async () => {
    const { slices, periods, health } = analyzeExperiment(spec, await complete(), null)
    const groups = Object.fromEntries(slices[0]?.groups.map(({ value, comparisons }) => [value, comparisons[0]]) ?? [])
    expect(holds(groups['fr'], effect) && groups['fr']?.significant).toBe(true)
    expect(holds(groups['de'], 0)).toBe(true)
    expect(slices[0]?.heterogeneity[0]?.p).toBeLessThan(0.001)
    expect(periods).toHaveLength(7)
    // the treatment orders on the first day or two, the control later
    expect(periods[0]?.comparisons[0]?.difference?.low).toBeGreaterThan(20)
    expect(periods[4]?.comparisons[0]?.difference?.high).toBeLessThan(0)
    expect(health.map(({ state }) => state)).toEqual(health.map(() => 'ok'))
  })

  test('is analyzed by a job; each look narrows the one before, and is stored', async () => {
    const clock = { now: start + 9 * day }
    const kind = experimentsJobs({ db: opened.db, catalog: async () => catalog, clock: () => clock.now })
    expect(await kind.schedules?.()).toEqual([{ key: String(run), subject: 'offers', cron: '7 * * * *', spec: { run } }])
    const step = { signal: new AbortController().signal, worker: 'w', attempt: 0, progress: () => undefined, isHeld: async () => true }
    const job = { id: 1, subject: 'offers', scope: '', chunks: 1, spec: { run }, plan: undefined }
    expect(await kind.run({ ...job, moment: start - 1 }, undefined, step)).toBeNull()
    const widths: number[] = []
    for (const days of [10, 13, 16, 20]) {
      clock.now = start + days * day
      await kind.run({ ...job, moment: days === 16 ? clock.now : null }, undefined, step)
      const { result } = await experimentReport(opened.db, 'offers')
      widths.push(width(revenue(result as ExperimentResult)))
    }
    expect(widths).toEqual(widths.toSorted((a, b) => b - a))
    const report = await experimentReport(opened.db, 'offers')
    expect(report.looks.map(({ units }) => units)).toEqual([...new Set(report.looks.map(({ units }) => units))])
    expect(report.looks).toHaveLength(4)
    expect(revenue(report.result as ExperimentResult).significant).toBe(true)
    // a look at an earlier moment, such as a job that is tried again, changes nothing
    const again = await analyzeRun(opened.db, catalog, await requireRun(opened.db, 'offers'), start + 12 * day)
    expect(again).toEqual(report.result)
    const [{ evidence } = { evidence: null }] = await opened.db.query<{ evidence: ExperimentEvidence | null }>(
      'SELECT evidence FROM lockstep.experiment_results WHERE evidence IS NOT NULL',
    )
    // the stored evidence gives the stored estimate again
    const replayed = analyzeExperiment(spec, evidence as ExperimentEvidence, null)
    expect(revenue(replayed).difference?.value).toBe(revenue(report.result as ExperimentResult).difference?.value)
    const text = experimentText(report)
    expect(text).toMatch(/revenue +primary +treatment .* better\n/)
    expect(text).toMatch(/returning +guardrail +treatment .*\(margin 10 %\)\n/)
    expect(text).toMatch(/sample ratio +ok/)
    expect(text).toContain('clicking')
    expect(experimentText({ ...report, result: null })).toContain('"--analyze" does it now, with the database and not through a server')
    const unknown = { ...(report.result as ExperimentResult).progress, unitsByDay: null, daysLeft: null }
    expect(experimentText({ ...report, result: { ...(report.result as ExperimentResult), progress: unknown } })).toContain(
      'new units a day are known after 7 days of exposures',
    )
    expect(text).toMatch(/, 0 % not mature yet, /)
    expect(text).toContain('not enough units: 0 of 100')
  })

  test('is planned from logged traffic: the plan knows the deviation, the covariate and the effect that units find', async () => {
    await addPredictions(
      opened.db,
      exposures.map(({ user, at }, i) => ({ id: `p${i}`, user, variant: 'control', at })),
    )
    const query = { coverage: 0.5, from: start, asOf: start + 20 * day, effect: 0.02, power: 0.8 }
    const plan = await planExperiment(opened.db, catalog, spec, query)
    const { result } = await experimentReport(opened.db, 'offers')
    const [primary] = result?.metrics ?? []
    const pooled = primary?.arms.reduce((sum, { value, units }) => sum + (value ?? 0) * units, 0) ?? 0
    expect(plan.metric.value).toBeCloseTo(pooled / users, 6)
    expect(plan.metric.units).toBe(users)
    expect(plan.metric.explained).toBeGreaterThan(0.5)
    expect(plan.traffic).toMatchObject({ days: expect.closeTo(20, 0), units: users })
    // all units came in the first ten days
    expect(plan.horizons.slice(1).map(({ days, units }) => [days, units])).toEqual([14, 28, 56].map((days) => [days, users / 2]))
    expect(Math.abs((plan.horizons[0]?.units ?? 0) - 0.35 * users)).toBeLessThan(0.04 * users)
    const [week, fortnight] = plan.horizons
    expect(week?.detectable).toBeGreaterThan(fortnight?.detectable ?? 0)
    const needed = plan.needs?.units ?? 0
    expect(needed).toBeGreaterThan(unitsNeeded((0.02 * plan.metric.value) / plan.metric.deviation, 0.5))
    expect(experimentPlanText(plan)).toContain(`analysis: { units: ${needed} }`)
    await expect(planExperiment(opened.db, catalog, spec, { ...query, asOf: start + 6 * day })).rejects.toThrow(
      /needs 100 units .* there are 0.*LOCKSTEP_LOG_PREDICTIONS/,
    )
  })

  test('is exported with one row for each unit and the figures of the analysis', async () => {
    const plan = planUnits(catalog, spec)
    const columns = unitColumns(plan).map(({ name }) => name)
    const rows: Record<string, unknown>[] = []
    const exposed = { experimentId: run, experiment: 'offers', unit: 'user', asOf: start + 20 * day }
    await exportUnits(opened.db, plan, exposed, async (batch) => {
      const length = batch[0]?.length ?? 0
      for (let row = 0; row < length; row++) rows.push(Object.fromEntries(columns.map((name, c) => [name, batch[c]?.[row]])))
    })
    expect(rows).toHaveLength(users)
    const { result } = await experimentReport(opened.db, 'offers')
    for (const { variant, value } of result?.metrics[0]?.arms ?? []) {
      const own = rows.filter((row) => row['variant'] === variant)
      expect(own.reduce((sum, row) => sum + Number(row['revenue__value']), 0) / own.length).toBeCloseTo(value ?? 0, 6)
    }
    expect(rows[0]).toMatchObject({ unit: 'u0', variant: 'control', revenue__mature: true, clicking__value: null, feature__country: 'fr' })
  })

  test('is decided once, with a reason and the newest analysis as evidence', async () => {
    const by = { actor: 'ann', reason: 'more revenue' }
    await expect(decideExperiment(opened.db, 'offers', 'treatment', { actor: 'ann' })).rejects.toThrow('has no reason')
    await expect(decideExperiment(opened.db, 'offers', 'treatmnt', by)).rejects.toThrow(/Did you mean "treatment"/)
    const { result: newest } = await experimentReport(opened.db, 'offers')
    expect(newest?.progress.unitsByDay).not.toBeNull()
    const { decision, notes, revision } = await decideExperiment(opened.db, 'offers', 'treatment', by)
    const report = await experimentReport(opened.db, 'offers')
    expect(decision).toMatchObject({
      variant: 'treatment',
      version: 2,
      by: 'ann',
      reason: 'more revenue',
      evidence: {
        asOf: report.result?.asOf,
        primary: { metric: 'revenue' },
        failing: [],
        guardrails: [{ metric: 'returning', verdict: 'undecided' }],
        exposedSince: 0,
        isOld: false,
      },
    })
    expect(notes).toEqual([
      'The experiment was stopped: its units are routed as all others.',
      'Warning: guardrails are undecided: "returning". "treatment" may be worse there by more than the margin.',
    ])
    // an experiment that has ended gets no new units
    expect(report.result?.progress).toMatchObject({ unitsByDay: null, daysLeft: null })
    expect(experimentText(report)).not.toMatch(/new units? a day|days? left/)
    expect(report).toMatchObject({ state: 'decided', decision })
    expect(experimentText(report)).toMatch(/decided +treatment by ann at .*: more revenue$/)
    expect((await loadCatalog(opened.db)).revision).toBe(revision)
    const [entry] = await opened.db.query<{ action: string }>('SELECT action FROM lockstep.audit_log ORDER BY id DESC LIMIT 1')
    expect(entry?.action).toBe('experiment.decide')
    await expect(decideExperiment(opened.db, 'offers', 'control', by)).rejects.toThrow('is decided already')
  })

  test('is decided with warnings if its analysis is old, a health check failed or a guardrail fails', async () => {
    const again = async (asOf: number, variant: string) => {
      await opened.db.query(`UPDATE lockstep.experiments SET state = 'stopped', decision = NULL`)
      await opened.db.query(
        `UPDATE lockstep.experiment_results SET as_of = to_timestamp($1), result = jsonb_set(jsonb_set(jsonb_set(result::jsonb,
           '{asOf}', to_jsonb($2::text)), '{health,0,state}', '"failing"'), '{metrics,1,comparisons,0,guardrail,verdict}', '"fails"')::json`,
        [asOf / 1e6, formatTimestamp(asOf)],
      )
      const { notes, decision } = await decideExperiment(opened.db, 'offers', variant, { actor: 'ann', reason: 'more revenue' })
      return { notes, isOld: decision.evidence?.isOld }
    }
    await opened.db.query('DELETE FROM lockstep.experiment_results WHERE as_of < (SELECT max(as_of) FROM lockstep.experiment_results)')
    // the last windows end seven days after the last exposure
    const last = Math.max(...exposures.map(({ at }) => at))
    expect(await again(start + 21 * day, 'treatment')).toEqual({
      notes: [
        'Warning: health checks failed: sample ratio. The figures cannot be trusted.',
        'Warning: guardrails fail: "returning". "treatment" is worse there by more than the margin.',
      ],
      isOld: false,
    })
    expect(await again(last + 7 * day - hour, 'control')).toMatchObject({ isOld: false })
    expect(await again(last - hour, 'control')).toEqual({
      notes: [
        'Warning: health checks failed: sample ratio. The figures cannot be trusted.',
        expect.stringMatching(
          /^Warning: the newest analysis is of 2026-03-\d\dT.*, and \d+ units? (was|were) exposed after it\. "lockstep experiment show offers --analyze" /,
        ),
      ],
      isOld: true,
    })
  })

  test('is decided with a warning if the variant is not shown to be better, or is worse', async () => {
    const warnings = async (variant: string, significant: boolean, value: number) => {
      await opened.db.query(`UPDATE lockstep.experiments SET state = 'stopped', decision = NULL`)
      await opened.db.query(
        `UPDATE lockstep.experiment_results SET result = jsonb_set(jsonb_set(jsonb_set(result::jsonb, '{health,0,state}', '"ok"'),
           '{metrics,0,comparisons,0,significant}', to_jsonb($1::bool)), '{metrics,0,comparisons,0,difference,value}', to_jsonb($2::float8))::json`,
        [significant, value],
      )
      const { notes } = await decideExperiment(opened.db, 'offers', variant, { actor: 'ann', reason: 'a trial' })
      return notes.filter((note) => note.includes('"revenue"'))
    }
    expect(await warnings('treatment', true, 2)).toEqual([])
    expect(await warnings('treatment', true, -2)).toEqual(['Warning: "treatment" is not better than "control" in "revenue", but worse.'])
    expect(await warnings('treatment', false, 2)).toEqual([
      'Warning: it is not shown that "treatment" is better than "control" in "revenue".',
    ])
    expect(await warnings('control', false, 2)).toEqual([])
  })

  test('that is unknown or was never started has no results, and says what to do', async () => {
    await expect(experimentReport(opened.db, 'offer')).rejects.toThrow(/There is no experiment "offer".*Did you mean "offers"/)
    await opened.db.query('DELETE FROM lockstep.experiment_results')
    await opened.db.query('DELETE FROM lockstep.exposures')
    await opened.db.query('DELETE FROM lockstep.experiments')
    await expect(experimentReport(opened.db, 'offers')).rejects.toThrow('lockstep experiment start offers')
  })
})
