import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { experimentText } from '../../../cli/text/experiment-text.ts'
import { analyzeRun, requireRun } from '../../../monitoring/experiments/analyze-run.ts'
import { experimentReport } from '../../../monitoring/experiments/experiment-report.ts'
import { periodIndex, weightedArms } from '../../../monitoring/experiments/shared-periods.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { readAllocations, reallocate } from '../../../registry/experiments/allocation.ts'
import { stopExperiment } from '../../../registry/experiments/change-experiment.ts'
import { unitPlace, variantAt } from '../../../statistics/assign.ts'
import { createRandom } from '../../../statistics/random.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { load } from '../../registry/definition-files.ts'
import { addOrders, hour, shop, start } from './shop.ts'

const banner = `export const banner = experiment('banner', {
  model: ranking, unit: 'request-id', variants: { control: 'champion', treatment: 2 },
  metrics: { primary: metric.mean('hourly', { ...amount, within: '1h' }) },
  allocation: { method: 'thompson', floor: 0.1 },
})
`

let opened: OpenedDatabase
let catalog: Catalog
beforeAll(async () => {
  opened = await openServer()
  await applyChanges(opened.db, await load({ 'features.ts': `${shop}${banner}` }))
  catalog = await loadCatalog(opened.db)
  const [row] = await opened.db.query<{ spec: object }>(`SELECT spec FROM lockstep.definitions WHERE name = 'banner'`)
  await opened.db.query(
    `INSERT INTO lockstep.experiments (name, model, spec, state, salt, coverage, variants, slices, started_by, started_at)
     VALUES ('banner', 'ranking', $1, 'running', 'salt', 1, '{"control": 1, "treatment": 2}', $2, 'test', to_timestamp($3))`,
    [
      JSON.stringify(row?.spec),
      JSON.stringify([
        { from: 0, to: 0.5, variant: 'control' },
        { from: 0.5, to: 1, variant: 'treatment' },
      ]),
      start / 1e6,
    ],
  )
})
afterAll(() => opened?.close())

/** Requests of an hour, each of a user of its own, by the shares that are stored. The treatment earns 3 more. */
async function liveAnHour(index: number, random: ReturnType<typeof createRandom>): Promise<void> {
  const { db } = opened
  const { id, slices, salt } = await requireRun(db, 'banner')
  const units = Array.from({ length: 350 }, (_, i) => {
    const user = `h${index}.${i}`
    const variant = variantAt(slices, unitPlace(salt, user)) ?? ''
    const propensity = slices.reduce((sum, slice) => sum + (slice.variant === variant ? slice.to - slice.from : 0), 0)
    return { user, variant, propensity, at: start + index * hour + 10_000_000 * (i + 1) }
  })
  await db.query(
    `INSERT INTO lockstep.exposures (experiment_id, unit, variant, exposed_at, last_at, rows, propensity, entity)
     SELECT $2, "user", variant, to_timestamp(at / 1000000), to_timestamp(at / 1000000), 1, propensity, json_build_object('user', "user")
     FROM json_to_recordset($1) r ("user" text, variant text, at float8, propensity float8)`,
    [JSON.stringify(units), id],
  )
  const amount = (variant: string) => 20 + (variant === 'treatment' ? 3 : 0) + 13 * random.normal()
  await addOrders(
    db,
    units.map(({ user, variant, at }) => ({
      user,
      at: at + 60_000_000,
      known: at + 60_000_000,
      amount: amount(variant),
      items: 1,
      returned: false,
    })),
  )
}

describe('shares that follow the results', () => {
  test('go to the better variant, keep their floor, and leave the analysis right', async () => {
    const { db } = opened
    const random = createRandom(7)
    const hours = 6
    for (let index = 0; index < hours; index++) {
      await liveAnHour(index, random)
      await analyzeRun(db, catalog, await requireRun(db, 'banner'), start + (index + 2) * hour)
      // as if at the virtual time
      await db.query(`UPDATE lockstep.experiment_allocations SET at = to_timestamp($1) WHERE at > to_timestamp($1)`, [
        (start + (index + 1) * hour) / 1e6,
      ])
    }
    const run = await requireRun(db, 'banner')
    const periods = await readAllocations(db.kysely, run)
    expect(periods[0]).toEqual({ from: start, shares: [0.5, 0.5] })
    expect(periods.length).toBeGreaterThan(2)
    for (const { shares } of periods) {
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.1)
      expect((shares[0] ?? 0) + (shares[1] ?? 0)).toBeCloseTo(1, 9)
    }
    const last = periods.at(-1)?.shares[1] ?? 0
    expect(last).toBeGreaterThan(0.8)
    expect(run.slices.reduce((sum, { from, to, variant }) => sum + (variant === 'treatment' ? to - from : 0), 0)).toBeCloseTo(last, 9)

    const report = await experimentReport(db, 'banner')
    const { result } = report
    const { difference, significant } = result?.metrics[0]?.comparisons[0] ?? {}
    expect([(difference?.low ?? 9) <= 3, 3 <= (difference?.high ?? -9), significant]).toEqual([true, true, true])
    // most units are in the treatment, as planned hour by hour
    expect(result?.variants[1]?.units).toBeGreaterThan(hours * 350 * 0.6)
    expect(result?.health.find(({ check }) => check === 'sample ratio')?.state).toBe('ok')
    expect(report.allocation?.periods.at(-1)?.shares[1]).toBe(last)
    expect(experimentText(report)).toMatch(/treatment: version 2, [\d,]+ units, began with 50 %, has [\d.]+ % since 2026-03-02 /)
    const audited = await db.query<{ n: number }>(`SELECT count(*)::int AS n FROM lockstep.audit_log WHERE action = 'experiment.allocate'`)
    expect(audited[0]?.n).toBe(periods.length - 1)
  })

  test('change once for the same evidence, not at all if that fails, and no more after a stop', async () => {
    const { db } = opened
    const run = await requireRun(db, 'banner')
    const seen = (await readAllocations(db.kysely, run)).length
    const die = () => {
      throw new Error('killed')
    }
    await expect(reallocate(db, run, seen, [0.3, 0.7], {}, { beforeCommit: die })).rejects.toThrow('killed')
    expect((await requireRun(db, 'banner')).slices).toEqual(run.slices)
    const both = await Promise.all([reallocate(db, run, seen, [0.3, 0.7], {}), reallocate(db, run, seen, [0.4, 0.6], {})])
    expect(both.filter(Boolean)).toHaveLength(1)
    await stopExperiment(db, 'banner', { actor: 'test' })
    expect(await reallocate(db, run, seen + 1, [0.5, 0.5], {})).toBe(false)
  })

  test('weigh units by the share that they had', () => {
    const periods = [
      { from: 0, shares: [0.5, 0.5] },
      { from: 100_000_000, shares: [0.2, 0.8] },
    ]
    // servers took the second shares a second late, or have another clock
    expect(periodIndex(periods, 101_000_000, 0, 0.5)).toBe(0)
    expect(periodIndex(periods, 99_500_000, 1, 0.8)).toBe(1)
    expect(periodIndex(periods, 50_000_000, 1, 0.8)).toBe(0)
    expect(periodIndex(periods, 150_000_000, 0, 0.2)).toBe(1)
    const constant = (n: number, value: number) => ({ n, sum: n * value, squares: n * value * value })
    const arms = weightedArms(periods, [
      [constant(50, 1), constant(50, 4)],
      [constant(20, 2), constant(80, 6)],
    ])
    // units of both periods count alike, whatever their variant's share was
    expect(arms.map(({ mean }) => mean)).toEqual([expect.closeTo(1.5, 9), expect.closeTo(5, 9)])
  })
})
