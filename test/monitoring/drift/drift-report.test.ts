import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome } from '../../../cli/command.ts'
import type { Context } from '../../../cli/context.ts'
import { createContext } from '../../../cli/context.ts'
import { prepare } from '../../../cli/run.ts'
import { driftText } from '../../../cli/text/drift-text.ts'
import { createTerminal } from '../../../cli/terminal.ts'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import { Status } from '../../../kernel/states/state.ts'
import type { Value } from '../../../kernel/values/value-type.ts'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { evaluateMonitor } from '../../../monitoring/alerts/evaluate-monitor.ts'
import { makeLackingBaselines } from '../../../monitoring/baselines/baseline-job.ts'
import { baselineOf } from '../../../monitoring/baselines/baseline.ts'
import type { DriftReport } from '../../../monitoring/drift/drift-types.ts'
import { driftJson } from '../../../monitoring/drift/drift-json.ts'
import { driftReport } from '../../../monitoring/drift/drift-report.ts'
import { loggedEffects } from '../../../monitoring/drift/logged-effects.ts'
import { createRollupRecorder } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { StatedCheck } from '../../../registry/define/check-options.ts'
import { checkOf } from '../../../registry/define/check-options.ts'
import { pickVersion } from '../../../registry/models/pick-version.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { loadConfig } from '../../../runtime/config.ts'
import { createLogger } from '../../../runtime/log.ts'
import { baselineAnswer } from '../../../serving/protocols/http/monitoring/baseline-schemas.ts'
import { driftAnswer } from '../../../serving/protocols/http/monitoring/drift-schemas.ts'
import { createRandom } from '../../../statistics/random.ts'
import { literal } from '../../offline/things.ts'
import { onnx } from '../../serving/fixtures.ts'
import type { World } from '../../serving/world.ts'
import { createWorld } from '../../serving/world.ts'
import { logPredictions } from './log-predictions.ts'

const [minute, hour] = [60_000_000, 3_600_000_000]
/** Two days ago, the begin of a day. Epoch microseconds. */
const day = Math.floor((Date.now() * 1000) / (24 * hour) - 2) * 24 * hour
const airports = 300
const random = createRandom(5)
const log = createLogger('silent')

/** The features of one airport: amount, count, city, open and vec. */
interface Served {
  readonly airport: number
  readonly values: readonly (Value | null)[]
}
type Fault = (served: Served) => Served

/** The rows of one airport are alike: it explains half of the variance of the amount, and its usual city. */
const own = Array.from({ length: airports }, () => random.normal())
const cities = ['Atlanta', 'Boston', 'Chicago', 'Denver']

/** Of no and yes. */
const probabilities = (yes: number): Float32Array => Float32Array.of(1 - yes, yes)

function draw(): Served {
  const airport = random.below(airports)
  const amount = Math.fround(50 + 5 * (own[airport] as number) + 5 * random.normal())
  const city = cities[random.next() < 0.5 ? airport % 4 : random.below(4)] as string
  const isKnown = random.next() > 0.03
  const yes = 1 / (1 + Math.exp((50 - amount) / 7))
  return { airport, values: [isKnown ? amount : null, BigInt(random.below(200)), city, random.next() < 0.7, probabilities(yes)] }
}

let folder: string
let world: World
let context: Context
let db: Database
let catalog: Catalog
const lockstep = async (...words: string[]): Promise<Outcome> => await (await prepare(words))(context)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-drift-'))
  world = await createWorld('embedded')
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: world.postgresUrl, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  context = createContext(config, createTerminal(true), new AbortController().signal)
  db = await context.database()
  // each row of the training set sees one row of its own source, a minute before
  const rows = Array.from({ length: 4000 }, draw).map(({ airport, values }, i) => {
    const literals = values.slice(0, 4).map(literal).join(', ')
    const vec = (values[4] as Float32Array).join(',')
    return `('A${airport}', timestamptz '2001-07-01' + ${i} * interval '10 minutes', ${literals}, '{${vec}}')`
  })
  await db.query(`insert into lockstep_source.landings (airport, at, amount, count, city, open, vec) values ${rows.join(', ')}`)
  await db.query(`create table spine as select airport, at + interval '1 minute' as at from lockstep_source.landings`)
  const made = await lockstep('dataset', 'create', 'typed', '--spine', 'select * from spine', '--out', join(folder, 'set.csv'))
  await writeFile(join(folder, 'typed.onnx'), await onnx('named'))
  await lockstep('model', 'push', 'typed', join(folder, 'typed.onnx'), '--dataset', (made.json as { readonly id: string }).id)
  await makeBaselines()
  catalog = await loadCatalog(db)
})
afterAll(async () => {
  await context?.close()
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

function makeBaselines(): Promise<number> {
  const onFailure = (what: string, error: string) => {
    throw new Error(`${what}: ${error}`)
  }
  return makeLackingBaselines({ db, catalog: () => loadCatalog(db), log, onFailure })
}

/** Answers so many rows over ten minutes from a moment on, by two server processes. */
async function serve(
  from: number,
  rows: number,
  fault: Fault = (served) => served,
  missing: Status = Status.nullValue,
  knownFrom = from,
  version = 1,
): Promise<void> {
  const service = catalog.service('typed')
  const baseline = await baselineOf(db, 'typed', 1)
  const outputs = catalog.model('typed').spec.output
  let now = from
  const processes = [0, 1].map(() =>
    createRollupRecorder(
      {
        writer: createRollupWriter({ database: () => db, log }),
        baselineOf: () => (now >= knownFrom ? baseline : null),
        log,
        clock: () => now,
      },
      { rowsPerSecond: 1_000_000 },
    ),
  )
  for (let m = 0; m < 10; m++) {
    now = from + m * minute
    for (const recorder of processes) await recorder.flush()
    for (let i = 0; i < rows / 10; i++) {
      const { airport, values } = fault(draw())
      const statuses = values.map((value) => (value === null ? missing : Status.present))
      const row = service.evaluate([{ values, statuses, eventTime: from }], [], from)
      const entity = { keys: [encodeKey([{ name: 'airport', type: { kind: 'string' } }], [`A${airport}`])], request: [] }
      const model = { service, outputs, version: { model: 'typed', version } }
      // the model returns its inputs; a missing amount is NaN there
      const prediction = values.map((value) => value ?? Number.NaN)
      const times = { totalMs: 1, featuresMs: 1, waitMs: 0, runMs: 0 }
      processes[i % 2]?.answered({ model, role: 'champion', rows: [0], read: { entities: [entity], rows: [row] } }, [prediction], times, 0)
    }
  }
  for (const recorder of processes) await recorder.close(60_000)
}

const report = (from: number, baseline: Parameters<typeof driftReport>[1]['baseline'] = { kind: 'training' }): Promise<DriftReport> =>
  driftReport({ db, catalog }, { model: 'typed', window: { from, to: from + 10 * minute }, baseline })
const firstOf = ({ columns: [first] }: DriftReport) => first

describe('a drift report over served traffic', () => {
  it('finds no drift in twenty healthy windows', async () => {
    for (let w = 0; w < 20; w++) await serve(day + w * 20 * minute, 500)
    for (let w = 0; w < 20; w++) {
      const found = await report(day + w * 20 * minute)
      expect(found).toMatchObject({ rows: 500, sampledRows: 500, drifted: [], gaps: [], notes: [] })
      expect(found.columns.filter(({ adjustedP }) => adjustedP === null).map(({ column }) => column)).toEqual([])
    }
  })

  it('finds a change of unit by 100 first, and names the source', async () => {
    const at = day + 8 * hour
    await serve(at - 10 * minute, 500)
    await serve(at, 500, ({ airport, values: [amount, ...rest] }) => ({
      airport,
      values: [amount === null || amount === undefined ? null : Math.fround(Number(amount) * 100), ...rest],
    }))
    const found = await report(at)
    expect(found.drifted).toEqual(['amount', 'output:amount_out'])
    expect(firstOf(found)).toMatchObject({ column: 'amount', drifted: true, outOfRange: { below: 0, above: expect.closeTo(0.97, 1) } })
    expect(firstOf(found)?.harm).toBeGreaterThan(0)
    expect(firstOf(found)?.causes).toEqual([
      {
        kind: 'source values changed',
        text: expect.stringMatching(/source "landings" has other values: .*×(9\d|10\d)(\.\d)?: did its unit change\?/),
      },
    ])
    expect(found.columns.find(({ column }) => column === 'output:amount_out')?.causes).toEqual([
      { kind: 'features drifted', text: '"amount" drifted' },
    ])
    // the time before had the old unit, and so had the training set by its id
    expect((await report(at, { kind: 'previous', micros: 10 * minute })).drifted).toEqual(found.drifted)
    const [origin] = (await report(at)).baseline.origins
    const id = origin !== undefined && 'dataset' in origin ? origin.dataset : ''
    expect((await report(at, { kind: 'dataset', id })).drifted).toEqual(['amount'])
    await expect(report(at, { kind: 'dataset', id: 'no-such' })).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  })

  it('names no change of volume if a rollout moves rows from one version to another', async () => {
    const at = day + 9.5 * hour
    const none = undefined
    await serve(at - 10 * minute, 200)
    await serve(at - 10 * minute, 800, none, none, none, 2)
    await serve(at, 600, inOtherUnit)
    await serve(at, 400, none, none, none, 2)
    expect(firstOf(await report(at))?.causes.map(({ kind }) => kind)).toEqual(['source values changed'])
  })

  it('compares the probability of yes of an output that has two', async () => {
    const at = day + 9 * hour
    await serve(at, 500, ({ airport, values }) => ({ airport, values: values.with(4, probabilities((values[4] as Float32Array)[1]! / 2)) }))
    const found = await report(at)
    expect(found.drifted).toEqual(['output:vec_out'])
    const mean = { baseline: expect.closeTo(0.5, 1), window: expect.closeTo(0.25, 1) }
    expect(found.columns.find(({ column }) => column === 'output:vec_out')).toMatchObject({ type: 'vector(2)', mean })
  })

  it('finds a new category, and names it', async () => {
    const at = day + 10 * hour
    await serve(at, 500, ({ airport, values }) => ({ airport, values: random.next() < 0.2 ? values.with(2, 'Zürich') : values }))
    const found = await report(at)
    expect(found.drifted).toEqual(['city', 'output:city_out'])
    const city = found.columns.find(({ column }) => column === 'city')
    expect(city).toMatchObject({ newCategories: ['Zürich'], otherCategories: { baseline: 0 } })
    expect(city?.causes).toMatchObject([{ kind: 'new categories', text: expect.stringContaining('"Zürich"') }])
  })

  it('finds a burst of nulls, with its reason beside that of training', async () => {
    const at = day + 12 * hour
    const burst: Fault = ({ airport, values }) => ({ airport, values: random.next() < 0.3 ? values.with(0, null) : values })
    await serve(at, 500, burst, Status.notFound)
    const found = await report(at)
    expect(found.drifted).toEqual(['amount', 'output:amount_out'])
    expect(firstOf(found)).toMatchObject({
      column: 'amount',
      missing: { baseline: expect.closeTo(0.03, 1), window: expect.closeTo(0.32, 1) },
    })
    expect(firstOf(found)?.causes).toMatchObject([
      { kind: 'statuses moved', text: expect.stringMatching(/NOT_FOUND went from 0 % to 3\d/) },
    ])
  })

  it('gives no p-value for a window of few entities, and says why', async () => {
    const at = day + 14 * hour
    await serve(at, 500, ({ values }) => ({ airport: random.below(20), values: values.with(0, 1) }))
    const found = await report(at)
    expect(found.drifted).toEqual([])
    expect(new Set(found.columns.map(({ untested }) => untested?.replace(/\d+ entities/, 'N entities')))).toEqual(
      new Set(['The window has the weight of N entities; a test needs 30']),
    )
    expect(found.columns.map(({ adjustedP }) => adjustedP)).not.toContain(0)
  })

  it('says how many rows are compared, if servers read the baseline within the window', async () => {
    const at = day + 18 * hour
    await serve(at, 500, undefined, undefined, at + 5 * minute)
    const found = await report(at)
    const compared = firstOf(found)?.rows.window ?? 0
    expect(found.sampledRows).toBe(500)
    expect(compared).toBeGreaterThan(0)
    expect(compared).toBeLessThan(500)
    expect(found.notes).toEqual([`Distances and tests are of the ${compared} rows that were counted over the baseline's bins.`])
  })

  it('says that nothing was served, or that a version has no baseline', async () => {
    const found = await report(day + 16 * hour)
    expect(found).toMatchObject({ rows: 0, drifted: [], notes: ['No rows were served in the window.'] })
    expect(found.columns.every(({ untested }) => untested !== null)).toBe(true)
    const lines = driftText(driftJson(found)).split('\n')
    // of no rows, no share is missing
    expect(lines).toContainEqual(expect.stringMatching(/^amount +\? .* % → none +\S+ → none$/))
    expect(lines).toContainEqual(expect.stringMatching(/^not tested: all columns\. The window/))
    await writeFile(join(folder, 'delay.onnx'), await onnx('logistic'))
    await lockstep('model', 'push', 'delay', join(folder, 'delay.onnx'))
    await expect(lockstep('drift', 'delay')).rejects.toMatchObject({
      code: 'BASELINE_MISSING',
      message: expect.stringContaining('"lockstep baseline create delay@1"'),
    })
    const message = expect.stringContaining('because served values are counted over its bins') as string
    await expect(lockstep('drift', 'delay', '--baseline', 'dataset:SET')).rejects.toMatchObject({ code: 'BASELINE_MISSING', message })
    await expect(lockstep('drift', 'typed', '--baseline', 'before')).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })

  it('has the first day that a version served as its baseline, if it has no training set', async () => {
    const flight = catalog.service('flight')
    const rows = Array.from({ length: 300 }, (_, i) => flight.evaluate([servedDelay(i % 40)], [1 + (i % 3)], day))
    await logPredictions(db, catalog, {
      model: 'delay',
      at: day,
      service: flight,
      rows,
      request: [1],
      predictions: rows.map((_, i) => [(i % 10) / 10]),
    })
    await db.query(
      `insert into lockstep.merged_rollups (step, at, model, version, role, parts, traffic) values ('hour', to_timestamp($1), 'delay', 1, 'champion', 1, '')`,
      [day / 1e6],
    )
    expect(await makeBaselines()).toBe(1)
    const baseline = await baselineOf(db, 'delay', 1)
    expect(baseline).toMatchObject({ rows: 300, origins: [{ kind: 'served' }], effects: { from: 'logged predictions' } })
    expect([...(baseline?.columns.keys() ?? [])]).toEqual(['lastDelay', 'landed1h', 'pressure', 'output:probabilities'])
    expect(await makeBaselines()).toBe(0)
  })

  it('is printed by the command, with the harm by logged predictions', async () => {
    const at = Date.now() * 1000 - 30 * minute
    await serve(at, 500, ({ airport, values }) => ({ airport, values: values.with(0, values[0] === null ? null : 5) }))
    const [service, drawn] = [catalog.service('typed'), Array.from({ length: 300 }, draw)]
    const rows = drawn.map(({ values }) =>
      service.evaluate([{ values: values.with(0, 5), statuses: values.map(() => Status.present), eventTime: at }], [], at),
    )
    await logPredictions(db, catalog, {
      model: 'typed',
      at,
      service,
      rows,
      request: [],
      predictions: drawn.map(({ values }) => values.map((v) => v ?? Number.NaN)),
    })
    const { text, json } = await lockstep('drift', 'typed', '--since', '1h')
    expect(json).toMatchObject({
      model: 'typed',
      version: 1,
      rows: 500,
      effects: { from: 'logged predictions', output: 'amount_out', rows: 300 },
    })
    expect(text).toMatch(/^typed@1 from .* UTC: 500 rows, compared with the training set [\da-f]{8} \(4,000 rows\)\./)
    expect(text).toMatch(/\namount +yes +\d/)
    expect(text).toMatch(/\n {2}amount +source values changed: /)
    // served rows can take the place of the training set, and leave it again
    const served = (await lockstep('baseline', 'create', 'typed', '--served', '1h')).json
    expect(served).toMatchObject({ rows: 300, origins: [{ kind: 'served' }], columns: { length: 10 } })
    const trained = (await lockstep('baseline', 'create', 'typed')).json
    expect(trained).toMatchObject({ rows: 4000, origins: [{ kind: 'training set' }, { kind: 'training predictions' }] })
    // all logged amounts are equal, but those of the training set are not
    const effects = await loggedEffects({ db, catalog, log }, pickVersion(catalog.model('typed')), { from: at, to: at + hour })
    expect(effects?.byFeature['amount']).toBeGreaterThan(1)
    expect(effects?.byFeature['open']).toBe(0)
  })
})

describe('a drift report through a server', () => {
  let url: string
  beforeAll(async () => {
    for (const view of ['airport_delays', 'airport_typed', 'airport_required', 'account_balance']) await world.materialize(view)
    await world.push('echo', 'identity')
    const served = await world.serve({ pollMs: 60_000 })
    await served.server.whenReady()
    url = served.url
  })
  const get = async (path: string) => {
    const response = await fetch(`${url}/v1/models/${path}`)
    return { status: response.status, body: await response.json() }
  }

  it('is the one of the command, with the effects that are stored', async () => {
    const { status, body } = await get('typed/drift?since=1h')
    expect(status).toBe(200)
    // every field is in the schema
    expect(driftAnswer.parse(body)).toEqual(body)
    expect(body).toMatchObject({ rows: 500, drifted: ['amount', 'output:amount_out'], effects: { from: 'training set' } })
    // no request runs the model
    const { body: report } = await get('typed/report?since=1h')
    expect(report).toMatchObject({ drift: { value: { effects: { from: 'training set' } } } })
    const { json, text } = await lockstep('drift', 'typed@1', '--since', '1h', '--server', url)
    expect(json).toMatchObject({ rows: 500, drifted: ['amount', 'output:amount_out'], effects: { from: 'training set' } })
    expect(text).toContain('of the training set)')
  })

  it('stands beside the baseline, as the command shows it', async () => {
    const { status, body } = await get('typed/baseline')
    expect([status, baselineAnswer.parse(body)]).toEqual([200, body])
    const [here, there] = [await lockstep('baseline', 'show', 'typed'), await lockstep('baseline', 'show', 'typed@1', '--server', url)]
    expect(JSON.parse(JSON.stringify(here.json))).toEqual(there.json)
    expect(here.text).toBe(there.text)
  })

  it.each([
    ['echo/baseline', 404, 'BASELINE_MISSING'],
    ['typed/baseline?version=9', 404, 'UNKNOWN_DEFINITION'],
    ['typed/drift?since=soon', 400, 'INVALID_REQUEST'],
    ['typed/drift?baseline=before', 400, 'INVALID_REQUEST'],
    ['typed/drift?baseline=previous:soon', 400, 'INVALID_REQUEST'],
    ['typed/drift?baseline=dataset:none', 404, 'UNKNOWN_DEFINITION'],
    ['typed/drift?version=9', 404, 'UNKNOWN_DEFINITION'],
    ['nothing/drift', 404, 'UNKNOWN_DEFINITION'],
    ['echo/drift', 404, 'BASELINE_MISSING'],
  ])('is refused for %s: %s %s', async (path, status, code) => {
    expect(await get(path)).toMatchObject({ status, body: { error: { code } } })
  })
})

describe('the default monitor of a model', () => {
  it('is quiet about healthy rows, and unknown without any', async () => {
    const at = day - 24 * hour
    await serve(at, 500)
    const findings = await evaluated(at)
    expect(findings.filter(({ state }) => state !== 'ok')).toEqual([])
    const columns = ['amount', 'city', 'count', 'open', 'vec']
    expect(
      findings.map(({ check, subject, evidence }) => [
        check,
        subject,
        columnsOf(evidence)
          .map(({ column }) => column)
          .sort(),
      ]),
    ).toEqual([
      ['nulls', 'landings (model version 1)', columns],
      ['drift', 'landings (model version 1)', columns],
      ['predictions', 'typed (model version 1)', columns.map((column) => `${column}_out`)],
    ])
    expect(new Set((await evaluated(at - 10 * hour)).map(({ state }) => state))).toEqual(new Set(['unknown']))
  })

  it('names a feature whose unit changed, and leaves the output to it', async () => {
    const at = day - 22 * hour
    await serve(at, 500, inOtherUnit)
    const alarms = (await evaluated(at)).filter(({ state }) => state !== 'ok')
    expect(alarms).toMatchObject([{ check: 'drift', subject: 'landings (model version 1)', state: 'breach', threshold: 0.1 }])
    expect(alarms[0]?.cause).toMatch(/"amount" of "typed@1" differs from the training data .*×(9\d|10\d)(\.\d)?: did its unit change\?/)
  })

  it('names the status that moved where a feature lacks values', async () => {
    const at = day - 20 * hour
    const burst: Fault = ({ airport, values }) => ({ airport, values: random.next() < 0.4 ? values.with(0, null) : values })
    await serve(at, 500, burst, Status.outsideMaxAge)
    const findings = await evaluated(at)
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'drift', state: 'ok', cause: '"amount" differs. The check "nulls" reports why.' }),
    )
    const alarms = findings.filter(({ state }) => state !== 'ok')
    expect(alarms).toMatchObject([{ check: 'nulls', subject: 'landings (model version 1)', state: 'breach', n: 500 }])
    expect(alarms[0]?.cause).toMatch(/has no value in 4\d.* % of rows; in the training data it is [23].*OUTSIDE_MAX_AGE: rows are older/)
  })

  it('takes a difference that was there at the same hour yesterday for usual, and compares with earlier hours', async () => {
    const at = day - 10 * hour
    await serve(at - 24 * hour, 500, inOtherUnit)
    await serve(at, 500, inOtherUnit)
    const findings = await evaluated(at)
    expect(findings.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok'])
    const usual = findings.flatMap(({ evidence }) => columnsOf(evidence)).filter((each) => each.evidence.usualAtThisTime)
    expect(usual.map(({ column, state }) => [column, state])).toEqual([
      ['amount', 'ok'],
      ['amount_out', 'ok'],
    ])
    const stated = [
      { kind: 'drift', columns: ['amount'], baseline: 'same-hour-yesterday' },
      { kind: 'nulls', columns: ['amount'], baseline: { previous: '24h' } },
    ] as const
    expect(await evaluated(at, stated)).toMatchObject([{ state: 'ok' }, { state: 'ok' }])
    const gone = await evaluated(at, [
      { kind: 'drift', columns: ['amount'], baseline: { dataset: 'gone-set' } },
      { kind: 'nulls', columns: ['amount'], baseline: { dataset: 'gone-set' } },
    ])
    expect(gone.map(({ state, cause }) => [state, cause?.includes('gone-set')])).toEqual([
      ['unknown', true],
      ['unknown', true],
    ])
  })

  it('takes a day that is as it was a week before for usual, but no change that stays', async () => {
    const week = async (at: number, isHigher: (daysAgo: number) => boolean) => {
      for (let days = 0; days <= 7; days++)
        await serve(at - days * 24 * hour, 500, isHigher(days) ? amountTo((amount) => amount + 6) : undefined)
      return (await evaluated(at, undefined, 24 * hour)).map(({ check, state }) => `${check} ${state}`)
    }
    expect(await week(day - 20 * 24 * hour, (days) => days % 7 === 0)).toEqual(['nulls ok', 'drift ok', 'predictions ok'])
    expect(await week(day - 30 * 24 * hour, () => true)).toContain('drift breach')
  })
})

const amountTo =
  (change: (amount: number) => number): Fault =>
  ({ airport, values: [amount, ...rest] }) => {
    return { airport, values: [typeof amount === 'number' ? Math.fround(change(amount)) : null, ...rest] }
  }
const inOtherUnit = amountTo((amount) => amount * 100)

async function evaluated(at: number, stated?: readonly StatedCheck[], windowMicros = 10 * minute) {
  const { monitors } = activeMonitors(catalog, true)
  const found = monitors.find(({ name }) => name === 'model:typed')
  if (found === undefined) throw new Error('The model has no default monitor.')
  const checks =
    stated?.map((check) => checkOf(check, 'A monitor')) ??
    found.checks.filter(({ kind }) => ['nulls', 'drift', 'predictions'].includes(kind))
  const deps = { db, store: null, catalog, clock: () => Date.now() * 1000, signal: new AbortController().signal }
  const checked = await evaluateMonitor(deps, { ...found, checks, windowMicros }, at + 12 * minute)
  expect(checked.flatMap(({ error }) => error ?? [])).toEqual([])
  return checked.flatMap(({ kind, results }) => (results ?? []).map((result) => ({ check: kind, ...result })))
}

interface EvidenceOfColumn {
  readonly column: string
  readonly state: string
  readonly evidence: { readonly usualAtThisTime?: boolean }
}
const columnsOf = (evidence: unknown) => (evidence as { readonly columns: readonly EvidenceOfColumn[] }).columns

function servedDelay(delay: number) {
  return { values: [delay, delay % 3], statuses: [Status.present, Status.present], eventTime: day }
}
