import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExperimentSpec, VariantSpec } from '../../../kernel/specs/experiment-spec.ts'
import type { UnitsOfLog } from '../../../monitoring/experiments/exposed-units.ts'
import type { ExposedUnit, UnitFigure } from '../../../monitoring/experiments/unit-figures.ts'
import { exposureCounts } from '../../../monitoring/experiments/exposure-counts.ts'
import { planUnits } from '../../../monitoring/experiments/plan-units.ts'
import { readUnits } from '../../../monitoring/experiments/read-units.ts'
import { rebuildExposures } from '../../../monitoring/exposures/rebuild-exposures.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { readExperimentRuns } from '../../../registry/experiments/experiment.ts'
import { createRandom } from '../../../statistics/random.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import type { Click, Exposure, Order, Prediction } from './shop.ts'
import { addClicks, addExposures, addOrders, addPredictions, addProfiles, applyShop, day, hour, start } from './shop.ts'

let opened: OpenedDatabase
let catalog: Catalog
let spec: ExperimentSpec
let run: number

const asOf = start + 11 * day
const random = createRandom(3)
const exposures: Exposure[] = []
const orders: Order[] = []
const clicks: Click[] = []
const predictions: Prediction[] = []

/** Users with rows on both sides of every bound: before, at and after the exposure and the ends of the windows. */
function makeRows(): void {
  for (let u = 0; u < 60; u++) {
    const user = `u${u}`
    const variant = u % 2 === 0 ? 'control' : 'treatment'
    const at = start + random.below(11 * 24) * hour + 17
    exposures.push({ user, variant, at })
    if (u % 10 === 9) exposures.push({ user, variant: 'control', at: at + hour })
    if (u % 10 === 8) exposures.push({ user, variant: 'treatment', at: at + 30 * day })
    const bounds = [0, day, 7 * day]
    for (let i = 0; i < random.below(8); i++) {
      const near = bounds[random.below(3)] as number
      const ordered = at + near + (random.below(5) - 2) * (random.below(2) === 0 ? 1 : hour)
      const late = random.below(3) === 0 ? random.below(10) * day : 0
      const amount = random.below(6) === 0 ? null : random.below(4) * 30
      orders.push({ user, at: ordered, known: ordered + late, amount, items: 1 + random.below(3), returned: random.below(4) === 0 })
    }
    for (let i = 0; i < random.below(4); i++) {
      const answered = at + (i === 0 ? 0 : random.below(9 * 24) * hour)
      const id = `${user}.${i}`
      predictions.push({ id, user, variant, at: answered })
      for (let k = 0; k < random.below(3); k++) {
        const clickedAt = answered + random.below(30) * hour
        const value = random.below(5) === 0 ? null : random.below(9)
        const known = clickedAt + random.below(3) * hour
        clicks.push({ user, predictionId: id, at: clickedAt, known, clicked: random.below(2) === 0, value })
      }
    }
  }
}

beforeAll(async () => {
  makeRows()
  opened = await openServer()
  ;({ catalog, spec } = await applyShop(opened.db))
  await addOrders(opened.db, orders)
  await addClicks(opened.db, clicks)
  await addPredictions(opened.db, predictions)
  await addProfiles(
    opened.db,
    exposures.map(({ user }) => user),
    countryOf,
  )
  run = await addExposures(opened.db, spec, exposures)
})
afterAll(() => opened?.close())

function countryOf(user: string): string {
  return user.length % 2 === 0 ? 'fr' : 'de'
}

/** @param instead the units of the log, for a plan */
async function read(instead?: UnitsOfLog, of = { run, asOf }): Promise<ExposedUnit[]> {
  const units: ExposedUnit[] = []
  const exposed = { experimentId: of.run, experiment: 'offers', unit: 'user', asOf: of.asOf, ...(instead && { instead }) }
  await readUnits(opened.db, planUnits(catalog, spec), exposed, (unit) => {
    units.push(unit)
  })
  return units
}

/** The figures of a unit by plain loops over its rows. */
function naive({ user, variant, at }: Exposure): Record<string, UnitFigure | null> {
  const within = (length: number) => {
    const end = at + length
    const seen = <R extends { user: string; at: number; known: number }>(rows: readonly R[]): R[] =>
      rows.filter((row) => row.user === user && row.at >= at && row.at <= end && row.known <= end)
    const answered = predictions.filter((each) => each.user === user && each.variant === variant && each.at <= end)
    const judgedAfter = (time: number) =>
      answered.map(
        ({ id, at: answeredAt }) =>
          clicks
            .filter((row) => row.predictionId === id && row.at <= answeredAt + time && row.known <= answeredAt + time)
            .sort(byTime)
            .at(-1) ?? null,
      )
    return { end, orders: seen(orders), clicks: seen(clicks).sort(byTime), answered, judgedAfter }
  }
  const [week, one] = [within(7 * day), within(day)]
  const one1 = (numerator: number | null, denominator = 1): UnitFigure | null => (numerator === null ? null : { numerator, denominator })
  const amounts = week.orders.flatMap(({ amount }) => amount ?? [])
  const revenue = sum(amounts)
  // a click is an outcome for a day, and its value for two
  const judged = one.judgedAfter(day).flatMap((click) => (click === null ? [] : [Number(click.clicked)]))
  const worthIn = (window: typeof one) =>
    window.judgedAfter(2 * day).flatMap((click) => (click === null ? [0] : click.value === null ? [] : [2 * click.value]))
  const [worth, worthOfOne] = [worthIn(week), worthIn(one)]
  const ripe = (window: typeof one, figure: UnitFigure | null, after = 0) => (window.end + after <= asOf ? figure : null)
  return {
    revenue: ripe(week, one1(revenue)),
    returning: ripe(week, one1(Number(week.orders.some(({ returned }) => returned)))),
    capped: ripe(week, one1(Math.min(50, revenue))),
    orders: ripe(one, one1(one.orders.length)),
    greatest: ripe(week, one1(amounts.length === 0 ? null : Math.max(...amounts))),
    buyers: ripe(week, one1(Math.sign(week.orders.length))),
    paying: ripe(one, one1(Number(one.orders.some(({ amount }) => (amount ?? 0) !== 0)))),
    basket: ripe(week, one1(revenue, sum(week.orders.map(({ items }) => items)))),
    median: ripe(week, one1(revenue)),
    clicking: ripe(one, one1(judged.length === 0 ? null : Math.sign(sum(judged))), day),
    clicks_by_answer: ripe(one, judged.length === 0 ? null : { numerator: sum(judged), denominator: judged.length }, day),
    click_worth: ripe(week, one1(worth.length === 0 ? null : sum(worth)), 2 * day),
    worth_by_click: ripe(one, judged.length === 0 || worthOfOne.length === 0 ? null : one1(sum(worthOfOne), sum(judged)), 2 * day),
    reacting: ripe(one, one1(one.clicks.at(-1)?.value ?? null)),
    revenue_by_answer: ripe(week, { numerator: revenue * week.answered.length, denominator: week.answered.length }),
  }
}

function byTime(a: Click, b: Click): number {
  return a.at - b.at || a.known - b.known || clicks.indexOf(a) - clicks.indexOf(b)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

describe('readUnits', () => {
  test('gives each mature unit the figures of a naive count, and leaves crossovers out', async () => {
    const units = await read()
    const inOrder = exposures.filter(
      ({ user, at }) => exposures.filter((other) => other.user === user && other.at <= asOf).length === 1 && at <= asOf,
    )
    expect(units.map(({ unit }) => unit)).toEqual(inOrder.map(({ user }) => user).sort())
    const names = spec.metrics.map(({ name }) => name)
    for (const { unit, variant, exposedAt, figures } of units) {
      const exposure = inOrder.find(({ user }) => user === unit) as Exposure
      expect({ variant, exposedAt }).toEqual({ variant: exposure.variant, exposedAt: exposure.at })
      expect({ unit, ...Object.fromEntries(names.map((name, i) => [name, figures[i]])) }).toEqual({ unit, ...naive(exposure) })
    }
    const counted = (name: string) => units.filter(({ figures }) => figures[names.indexOf(name)] !== null).length
    // the draw has units of each kind: mature in one window only, in both, in none
    expect(counted('orders')).toBeGreaterThan(counted('revenue'))
    expect(units.length).toBeGreaterThan(counted('orders'))
    expect(counted('revenue')).toBeGreaterThan(5)
  })

  test('gives the features as of the exposure, without what was known later', async () => {
    const units = await read()
    const names = planUnits(catalog, spec).features
    expect(names).toEqual(['spent30d', 'country'])
    for (const { unit, exposedAt, features } of units) {
      const seen = orders.filter(({ user, at, known }) => user === unit && at <= exposedAt && known <= exposedAt)
      const amounts = seen.flatMap(({ amount }) => amount ?? [])
      expect([unit, ...features]).toEqual([unit, amounts.length === 0 ? null : sum(amounts), countryOf(unit)])
    }
  })

  test('gives the same figures later: late rows do not change what is mature', async () => {
    const before = await read()
    const [mature] = before.filter(({ mature: isMature }) => isMature.every(Boolean))
    if (mature === undefined) throw new Error('no unit is mature')
    const late = { user: mature.unit, at: mature.exposedAt + hour, known: asOf + day, amount: 1000, items: 1, returned: true }
    await addOrders(opened.db, [late])
    expect(await read()).toEqual(before)
  })

  test('finds no difference at any look if outcomes of a variant only come sooner', async () => {
    const made = { exposures: [] as Exposure[], predictions: [] as Prediction[], clicks: [] as Click[] }
    for (let pair = 0; pair < 20; pair++) {
      const first = start + random.below(3 * 24) * hour
      const answers = [0, ...Array.from({ length: 5 }, () => random.below(8 * 24) * hour)]
      const values = answers.map(() => (random.below(3) === 0 ? null : random.below(9)))
      for (const [variant, delay] of [
        ['control', 23 * hour],
        ['treatment', hour],
      ] as const) {
        const user = `${variant}${pair}`
        made.exposures.push({ user, variant, at: first })
        for (const [i, after] of answers.entries()) {
          const id = `${user}.${i}`
          made.predictions.push({ id, user, variant, at: first + after })
          const at = first + after + delay
          if (values[i] !== null)
            made.clicks.push({ user, predictionId: id, at, known: at, clicked: values[i] !== 0, value: values[i] ?? 0 })
        }
      }
    }
    await addPredictions(opened.db, made.predictions)
    await addClicks(opened.db, made.clicks)
    const sooner = await addExposures(opened.db, { ...spec, name: 'sooner' }, made.exposures)
    let mature = 0
    const metrics = ['clicking', 'clicks_by_answer', 'click_worth', 'worth_by_click'].map((name) =>
      spec.metrics.findIndex((metric) => metric.name === name),
    )
    for (const asOfDay of [2, 5, 9, 14]) {
      const units = await read(undefined, { run: sooner, asOf: start + asOfDay * day })
      const of = (variant: string) =>
        units
          .filter((unit) => unit.variant === variant)
          .map(({ unit, figures }) => ({ pair: unit.slice(variant.length), figures: metrics.map((i) => figures[i]) }))
      expect(of('treatment')).toEqual(of('control'))
      mature += of('control').filter(({ figures }) => figures.every((figure) => (figure ?? null) !== null)).length
    }
    expect(mature).toBeGreaterThan(10)
  })

  test('does not count predictions of shadows', async () => {
    const logged = { model: 'ranking', variant: 'planned', from: start - day }
    const before = [await read(), await read(logged)]
    expect(before[1]?.some(({ figures }) => figures.some((figure) => (figure?.denominator ?? 0) > 1))).toBe(true)
    const shadows = predictions.flatMap(({ id, user, at, variant }) =>
      [-hour, 1].map((after) => ({ id: `${id}.shadow${after}`, user, variant, at: at + after, role: 'shadow' as const })),
    )
    await addPredictions(opened.db, shadows)
    expect([await read(), await read(logged)]).toEqual(before)
  })
})

describe('rebuildExposures', () => {
  test('gives back what the log has, the first answer of each unit, and counts it', async () => {
    const firsts = new Map<string, Prediction & { readonly lastAt: number; readonly rows: number }>()
    const logged = await opened.db.query<Prediction>(
      `SELECT keys->>'user' AS "user", variant, (extract(epoch FROM at) * 1000000)::float8 AS at, prediction_id AS id
       FROM lockstep.prediction_log WHERE experiment = 'offers' ORDER BY at, prediction_id`,
    )
    for (const each of logged) {
      const known = firsts.get(`${each.user} ${each.variant}`)
      firsts.set(`${each.user} ${each.variant}`, { ...(known ?? each), lastAt: each.at, rows: (known?.rows ?? 0) + 1 })
    }
    const [kept, late, ...lost] = [...firsts.values()]
    if (kept === undefined || late === undefined) throw new Error('no unit has predictions')
    const id = await addExposures(opened.db, { ...spec, name: 'rebuilt' }, [
      { ...kept, at: kept.at + 1 },
      { ...late, at: late.at + hour },
    ])
    const found = (await readExperimentRuns(opened.db.kysely, 'rebuilt')).find((each) => each.id === id)
    if (found === undefined) throw new Error('there is no such run')
    const [control, treatment] = found.spec.variants as [VariantSpec, VariantSpec]
    const variants = [
      { ...control, weight: 0.25 },
      { ...treatment, weight: 0.75 },
    ]
    const own = { ...found, name: 'offers', spec: { ...found.spec, variants } }
    const until = start + 30 * day
    // newer rows wait
    expect(await rebuildExposures(opened.db, own, 0, start)).toBe(0)
    expect(await rebuildExposures(opened.db, own, 0, until)).toBe(lost.length + 1)
    expect(await rebuildExposures(opened.db, own, 0, until)).toBe(0)
    const stored = await opened.db.query(
      `SELECT unit, variant, (extract(epoch FROM exposed_at) * 1000000)::float8 AS at, (extract(epoch FROM last_at) * 1000000)::float8 AS "lastAt",
         rows::int, propensity, entity, prediction_id AS id FROM lockstep.exposures WHERE experiment_id = $1 AND rebuilt ORDER BY unit, variant`,
      [id],
    )
    const byUnit = (a: Prediction, b: Prediction) => (a.user < b.user || (a.user === b.user && a.variant < b.variant) ? -1 : 1)
    expect(stored).toEqual(
      [late, ...lost].sort(byUnit).map(({ user, variant, at, lastAt, rows, id: first }) => ({
        unit: user,
        variant,
        at,
        lastAt: user === late.user ? Math.max(lastAt, late.at + hour) : lastAt,
        rows,
        propensity: variant === 'control' ? 0.25 : 0.75,
        entity: { user },
        id: first,
      })),
    )
    const counts = await exposureCounts(opened.db, { experimentId: id, experiment: 'offers', unit: 'user', asOf: until }, [
      'control',
      'treatment',
    ])
    expect(counts.rebuilt).toBe(lost.length + 1)
  })
})
