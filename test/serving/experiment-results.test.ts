import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import type { Command } from '../../cli/command.ts'
import { experimentDecideCommand } from '../../cli/commands/experiment-decide.ts'
import { experimentExportCommand } from '../../cli/commands/experiment-export.ts'
import { experimentPlanCommand } from '../../cli/commands/experiment-plan.ts'
import { rolloutShowCommand } from '../../cli/commands/rollout-show.ts'
import { createContext } from '../../cli/context.ts'
import { experimentText } from '../../cli/text/experiment-text.ts'
import { parseInput } from '../../cli/input.ts'
import { createTerminal } from '../../cli/terminal.ts'
import type { ExperimentSpec, MeasureSpec, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { analyzeRun, requireRun } from '../../monitoring/experiments/analyze-run.ts'
import type { ExperimentData } from '../../serving/dashboard/contract/experiment.ts'
import type { ExperimentPlan } from '../../monitoring/experiments/plan-experiment.ts'
import type { ExperimentReport } from '../../monitoring/experiments/experiment-report.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { lockRegistry } from '../../registry/revision.ts'
import { loadConfig } from '../../runtime/config.ts'
import { createRandom } from '../../statistics/random.ts'
import { hash, servingSet } from './definitions.ts'
import { firstExposures } from './first-exposures.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'
import { createVisitor } from './dashboard/visitor.ts'

const hour = 3_600_000_000
const units = 1200
/** The planted effects: costs fall by 10 from 100, a treated flight is late in 3 of 10 cases in place of 5. */
const truth = { cost: -10, late: -0.2, visits: 0 }

const landings: SourceSpec = {
  name: 'landings',
  relation: { kind: 'owned' },
  key: [{ part: 'airport', column: 'airport' }],
  eventTime: 'at',
  known: 'known_at',
  columns: [
    { name: 'cost', type: { kind: 'float64' } },
    { name: 'prediction_id', type: { kind: 'string' } },
    { name: 'late', type: { kind: 'bool' } },
  ],
}
const lateFlight: OutcomeSpec = {
  name: 'late_flight',
  model: 'delay',
  source: landings,
  match: { kind: 'prediction', column: 'prediction_id' },
  type: { kind: 'bool' },
  column: 'late',
  code: null,
  withinMicros: 24 * hour,
  missing: { kind: 'exclude' },
  output: 'probability',
}

function metric(name: string, role: MetricSpec['role'], measure: MeasureSpec, more: Partial<MetricSpec> = {}): MetricSpec {
  const base = { kind: 'mean', withinMicros: 24 * hour, winsorizeAt: null, per: 'unit', better: 'lower', margin: null } as const
  return { ...base, name, role, value: measure, ...more } as MetricSpec
}
const ofLandings = (column: string | null, aggregate: 'sum' | 'count'): MeasureSpec => ({
  of: { kind: 'source', source: landings, key: [{ name: 'airport', type: { kind: 'string' } }] },
  aggregate,
  column,
})
const spec: ExperimentSpec = {
  name: 'weather',
  model: 'delay',
  unit: 'airport',
  variants: [
    { name: 'control', serves: 'champion', weight: 0.5 },
    { name: 'treatment', serves: 2, weight: 0.5 },
  ],
  layer: null,
  metrics: [
    metric('cost', 'primary', ofLandings('cost', 'sum')),
    metric('visits', 'guardrail', ofLandings(null, 'count'), { better: 'higher', margin: 0.1 }),
    metric(
      'late',
      'secondary',
      { of: { kind: 'outcome', outcome: 'late_flight' }, aggregate: 'sum', column: null },
      { kind: 'proportion' },
    ),
  ],
  covariates: [],
  slices: [],
  analysis: { method: 'sequential', alpha: 0.05, correction: 'holm', units: null, prior: null },
}

let world: World
let url: string
let aheadMicros = 0

beforeAll(async () => {
  world = await createWorld('embedded')
  const declared = <Spec extends object>(each: Spec, operational = {}) => ({
    spec: each,
    fingerprint: hash(JSON.stringify(each)),
    operational,
  })
  await applyChanges(world.db, {
    ...servingSet,
    sources: [...servingSet.sources, declared(landings)],
    outcomes: [declared(lateFlight)],
    experiments: [{ ...declared(spec), operational: { coverage: 1 } }],
  })
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
  const served = await world.serve({
    predictionLog: { flushMs: 50 },
    exposures: { flushMs: 50, writesPerCount: 2 },
    config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() }, logRetentionDays: 30 },
    clock: () => Date.now() * 1000 + aheadMicros,
  })
  await served.server.whenReady()
  url = served.url
})
afterAll(() => world?.close())

it('an experiment on a server finds the planted effects, and its decision ends it', async () => {
  expect((await ask(url, '/v1/models/delay/promote', { version: 1 })).status).toBe(200)
  expect((await ask(url, '/v1/experiments/weather/start', {})).status).toBe(200)
  const predictions = new Map<string, string>()
  for (let from = 0; from < units; from += 100) {
    const airports = Array.from({ length: 100 }, (_, i) => `A${from + i}`)
    const { body } = await ask(url, '/v1/predict', { model: 'delay', entities: airports.map((airport) => ({ airport, distance: 100 })) })
    for (const [i, airport] of airports.entries()) predictions.set(airport, body.predictionIds[i] as string)
  }
  const started = await requireRun(world.db, 'weather')
  const exposed = () => firstExposures(world.db, started.id)
  await until(async () => (await exposed()).length === units)
  await until(async () => {
    const [row] = await world.db.query<{ n: number }>(`SELECT count(*)::int AS n FROM lockstep.prediction_log WHERE experiment = 'weather'`)
    return row?.n === units
  })

  const random = createRandom(4)
  const landed = (await exposed()).flatMap(({ unit, variant, at }) => {
    const treated = variant === 'treatment'
    const cost = 100 + (treated ? truth.cost : 0) + 10 * random.normal()
    const late = random.next() < 0.5 + (treated ? truth.late : 0)
    const row = { unit, at: at + hour, known: at + 2 * hour, cost, late, prediction: predictions.get(unit) ?? null }
    const second = { ...row, at: at + 3 * hour, known: at + 4 * hour, cost: 0, prediction: null }
    return random.next() < 0.5 ? [row] : [row, second]
  })
  const time = (column: string): string => `to_timestamp(${column}::float8 / 1000000)`
  await world.db.query(
    `INSERT INTO lockstep_source.landings (airport, at, known_at, cost, late, prediction_id)
     SELECT unit, ${time('at')}, ${time('known')}, cost, late, prediction
     FROM json_to_recordset($1) r (unit text, at text, known text, cost float8, late bool, prediction text)`,
    [JSON.stringify(landed)],
  )
  const catalog = await loadCatalog(world.db)
  const now = Date.now() * 1000
  const early = await analyzeRun(world.db, catalog, started, now)
  expect(early.metrics[0]?.arms.map(({ units: mature }) => mature)).toEqual([0, 0])
  expect(early.metrics[0]?.comparisons[0]?.waitsFor).toMatchObject({ units: 0, needed: 100 })
  const exposedAt = (await exposed()).map(({ at }) => at)
  const maturesAt = {
    first: formatTimestamp(Math.min(...exposedAt) + 24 * hour),
    last: formatTimestamp(Math.max(...exposedAt) + 24 * hour),
  }
  const waiting = (await ask(url, '/v1/experiments/weather/results')).body as unknown as ExperimentReport
  expect(waiting.result?.progress.maturesAt).toEqual(maturesAt)
  const second = (moment: string): string => moment.slice(0, 19).replace('T', ' ')
  // seconds of exposures say nothing of a day
  expect(waiting.result?.progress.unitsByDay).toBeNull()
  expect(experimentText(waiting)).toContain(
    `100 % not mature yet (the first at ${second(maturesAt.first)} UTC, all exposed so far at ${second(maturesAt.last)} UTC), new units a day are known after 7 days of exposures\n`,
  )
  await analyzeRun(world.db, catalog, started, now + 50 * hour)

  const answer = await ask(url, '/v1/experiments/weather/results')
  const { result, looks, versions } = answer.body as unknown as ExperimentReport
  expect({ status: answer.status, versions, looks: looks.length }).toEqual({
    status: 200,
    versions: { control: 1, treatment: 2 },
    looks: 2,
  })
  for (const [i, planted] of [truth.cost, truth.visits, truth.late].entries()) {
    const { difference } = result?.metrics[i]?.comparisons[0] ?? {}
    expect([spec.metrics[i]?.name, (difference?.low ?? 1) <= planted && planted <= (difference?.high ?? -1)]).toEqual([
      spec.metrics[i]?.name,
      true,
    ])
  }
  const [cost, visits, late] = result?.metrics.map(({ comparisons }) => comparisons[0]) ?? []
  expect([cost?.significant, visits?.guardrail?.verdict, late?.significant]).toEqual([true, 'passes', true])
  expect(result?.health.map(({ check, state }) => [check, state])).toEqual([
    ['sample ratio', 'ok'],
    ['crossovers', 'ok'],
    ['lost exposures', 'ok'],
    ['stable effect', 'ok'],
    ['maturity', 'ok'],
  ])

  // the dashboard shows what the analyses counted
  const ann = createVisitor(url)
  await ann.login(world.db)
  const page = (await ann.ask('/ui/api/experiments/weather/series')).body.data as ExperimentData
  const newUnits = page.exposures.series.map(({ label, points }) => [label, points.reduce((sum, { v }) => sum + (v ?? 0), 0)])
  expect(newUnits).toEqual(result?.variants.map(({ variant, units: seen }) => [variant, seen]))
  expect(page.exposures.series.map(({ points }) => points.map(({ t }) => t % 86_400_000))).toEqual([
    [0, 0],
    [0, 0],
  ])
  expect(page.metrics[0]?.series?.series.map(({ grey, points }) => [grey, points.map(({ v }) => v)])).toEqual([
    [undefined, [null, cost?.difference?.value]],
    [true, [null, cost?.unadjusted?.value]],
  ])
  expect(page.metrics[0]?.series?.series[0]?.label).toBe('treatment, difference in cost')
  expect(page.health[0]?.text).toMatch(/control [\d.]+ % \(planned 50 %\)/)
  const evidence = looks.map(({ asOf }) => ({ t: Date.parse(asOf), v: expect.any(Number) as unknown }))
  expect(page.split).toMatchObject({ bound: 3, chart: { finding: page.health[0]?.text, series: [{ unit: 'odds', points: evidence }] } })
  expect(page.metrics[0]?.detectable).toBeCloseTo(cost?.detectable ?? Number.NaN)
  // and what was known at the first analysis, and before the start
  const asOf = async (moment: string) => (await ann.ask(`/ui/api/experiments/weather/series?asOf=${moment}`)).body.data as ExperimentData
  expect(page).toMatchObject({ state: 'running', analyses: looks.map((look) => new Date(look.asOf).toISOString()) })
  const [first = ''] = page.analyses
  const known = { state: 'running', decision: null, endedAt: null, analyzedAt: early.asOf, analyses: page.analyses }
  const then = await asOf(first)
  expect(then).toMatchObject({
    ...known,
    progress: { immatureShare: 1, maturesAt: early.progress.maturesAt },
    health: early.health.map(({ check, state }) => ({ check, state })),
  })
  expect(then.exposures.series.map(({ points }) => points.length)).toEqual([1, 1])
  expect(await asOf('2001-07-01T12:00:00Z')).toMatchObject({ state: 'not started', analyses: [], startedAt: null })

  const said: string[] = []
  const stop = new AbortController()
  const run = async (command: Command, ...words: readonly string[]) => {
    const out = { write: (text: string) => said.push(text) > 0 }
    const config = loadConfig({ LOCKSTEP_LOG_LEVEL: 'silent', LOCKSTEP_SERVER: url })
    return await command.run(createContext(config, createTerminal(false, { out, err: out }), stop.signal), parseInput(command, words))
  }

  // its units by HTTP, and a plan, for which they have to be a day old
  expect((await ask(url, '/v1/experiments/weather/plan')).body.error).toMatchObject({ code: 'INVALID_REQUEST' })
  aheadMicros = 50 * hour
  const csv = await ask(url, '/v1/experiments/weather/export?format=csv')
  const [header = '', ...lines] = csv.text.trim().split('\n')
  expect([csv.status, header.split(',').slice(0, 2), lines.length]).toEqual([200, ['unit', 'variant'], units])
  expect(csv.headers.get('content-disposition')).toBe('attachment; filename="weather.csv"')
  const json = await ask(url, '/v1/experiments/weather/export')
  expect(JSON.parse(json.text.split('\n')[0] ?? '')).toMatchObject({ unit: expect.any(String) as string, cost__mature: true })
  expect((await ask(url, '/v1/experiments/weather/export?format=xml')).status).toBe(400)
  expect(await ask(url, '/v1/experiments/none/export')).toMatchObject({ status: 404, body: { error: { code: 'UNKNOWN_DEFINITION' } } })
  const plan = async (query: string) => await ask(url, `/v1/experiments/weather/plan?${query}`)
  expect((await plan('effect=0')).status).toBe(400)
  expect((await plan('power=2')).status).toBe(400)
  const planned = await plan('effect=0.02')
  expect(planned).toMatchObject({
    status: 200,
    body: { experiment: 'weather', power: 0.8, metric: { name: 'cost', units }, needs: { effect: 0.02 } },
  })
  const { requestId: _, traffic, ...inBody } = planned.body as unknown as ExperimentPlan & { readonly requestId: string }
  expect((await run(experimentPlanCommand, 'weather', '--effect', '2%')).json).toMatchObject({
    ...inBody,
    // until now
    traffic: { ...traffic, days: expect.closeTo(traffic.days, 1) },
  })
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-units-'))
  const out = join(folder, 'units.csv')
  const exported = await run(experimentExportCommand, 'weather', '--out', out)
  expect(exported.text).toContain(`Wrote the units of weather to ${out}`)
  expect((await readFile(out, 'utf8')).split('\n')).toHaveLength(csv.text.split('\n').length)
  await expect(run(experimentExportCommand, 'weather', '--out', out)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
  await expect(run(experimentExportCommand, 'none', '--out', out, '--overwrite')).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  expect(await readdir(folder)).toEqual(['units.csv'])
  await rm(folder, { recursive: true })
  aheadMicros = 0

  expect((await ask(url, '/v1/experiments/weather/decide', { variant: 'treatment' })).status).toBe(400)
  // one that missed its deadline is not made later, when the registry is free
  const tooLate = await world.db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    return await fetch(`${url}/v1/experiments/weather/decide`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-timeout-ms': '1000' },
      body: JSON.stringify({ variant: 'control', reason: 'too late' }),
    })
  })
  expect(tooLate.status).toBe(504)
  // its winner rolls out at once
  const decided = await run(experimentDecideCommand, 'weather', '--variant', 'treatment', '--reason', 'lower costs', '--rollout')
  expect(decided).toMatchObject({
    json: {
      decision: { variant: 'treatment', version: 2, reason: 'lower costs', evidence: { failing: [] } },
      rollout: { rollout: { version: 2, share: 0.01, step: 0 } },
    },
    text: expect.stringMatching(/decided for treatment, version 2 of delay\.\n.*stopped.*\ndelay@2 gets 1 %/) as string,
  })
  await expect(run(experimentDecideCommand, 'weather', '--variant', 'control', '--reason', 'after all')).rejects.toThrow(
    'is decided already',
  )
  expect(await asOf(first)).toMatchObject(known)
  await until(async () => {
    const { decision } = (await ann.ask('/ui/api/experiments/weather/series')).body.data as ExperimentData
    return decision?.endsWith(' decided for treatment (version 2): lower costs.') === true
  })
  try {
    const watching = run(rolloutShowCommand, 'delay', '--watch')
    const isSaid = (text: string) => until(async () => said.join('').includes(text))
    await isSaid('  start  ')
    expect((await ask(url, '/v1/models/delay/rollout/pause', { reason: 'weekend' })).status).toBe(200)
    await isSaid('    weekend')
    expect((await ask(url, '/v1/models/delay/rollout/abort', {})).status).toBe(200)
    expect(await watching).toMatchObject({
      json: { rollout: { state: 'aborted' } },
      text: expect.stringContaining('state      ended: aborted') as string,
    })
    expect(said.join('').match(/ {4}weekend/g)).toHaveLength(1)
  } finally {
    stop.abort()
  }
  await until(async () => {
    const { body } = await ask(url, '/v1/predict', { model: 'delay', entities: [{ airport: 'A0', distance: 100 }] })
    return (body as unknown as { role: string }).role === 'champion'
  })
})

it('the units that are sent lie in a folder for its owner alone, and are deleted once they are sent', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-sent-'))
  vi.stubEnv('TMPDIR', folder)
  onTestFinished(async () => {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true, force: true })
  })
  let sent: Promise<Response> | undefined
  await world.db.kysely.transaction().execute(async (transaction) => {
    await sql`lock table lockstep.exposures in access exclusive mode`.execute(transaction)
    sent = fetch(`${url}/v1/experiments/weather/export`)
    await until(async () => (await readdir(folder)).length === 1)
    const [name = ''] = await readdir(folder)
    expect((await stat(join(folder, name))).mode & 0o077).toBe(0)
  })
  expect((await (await sent)?.text())?.trim().split('\n')).toHaveLength(units)
  await until(async () => (await readdir(folder)).length === 0)
})
