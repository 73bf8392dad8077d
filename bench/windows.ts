/**
 * The cost of the kernel's windows, aggregate by aggregate. Folds rows of 300 entities in time order and queries at
 * every third one. Compares windows of an hour, 24 hours and 30 days, each alone, with eight at once, and a count with
 * all other aggregates. The cost must grow with the number of windows, not with their length. Seconds are processor
 * time.
 *
 *     npm run bench -- windows [--rows 3000000] [--only min,max] [--json]
 */
import { parseArgs } from 'node:util'
import { aggregateResultType } from '../kernel/result-type.ts'
import { compileView } from '../kernel/compile-view.ts'
import { defaultHop } from '../kernel/states/hop.ts'
import { parseTimestamp } from '../kernel/values/time.ts'
import type { ColumnType } from '../kernel/values/value-type.ts'
import type { AggregateName, FeatureSpec } from '../kernel/specs/view-spec.ts'
import { aggregateNames } from '../kernel/specs/view-spec.ts'

const hour = 3_600_000_000
const origin = parseTimestamp('2001-01-01T00:00:00Z')
const span = 181 * 24 * hour
const entities = 300

const { values: options } = parseArgs({
  options: { rows: { type: 'string', default: '3000000' }, only: { type: 'string' }, json: { type: 'boolean', default: false } },
})
const rows = Number(options.rows)
const chosen = options.only === undefined ? aggregateNames : aggregateNames.filter((name) => options.only?.split(',').includes(name))

const listing: ReadonlySet<AggregateName> = new Set(['firstN', 'lastN', 'lastDistinctN', 'topK'])

interface Figure {
  readonly aggregate: string
  /** With one window of that length, and with eight windows. */
  readonly hourSeconds: number
  readonly daySeconds: number
  readonly monthSeconds: number
  readonly eightSeconds: number
}

function feature(aggregate: AggregateName, hours: number): FeatureSpec {
  const categories = aggregate === 'topK' || aggregate === 'histogram'
  const column = categories ? { name: 's', type: { kind: 'string' } as ColumnType } : { name: 'f', type: { kind: 'float64' } as ColumnType }
  return {
    kind: 'window',
    name: `${aggregate}_${hours}h`,
    type: aggregateResultType(aggregate, column.type) ?? column.type,
    aggregate,
    column: column.name,
    windowMicros: hours * hour,
    hopMicros: defaultHop(hours * hour),
    default: null,
    required: false,
    ...(aggregate === 'quantile' ? { quantile: 0.9, error: 0.01 } : {}),
    ...(listing.has(aggregate) ? { n: 5 } : {}),
    ...(categories ? { cap: 1000 } : {}),
  }
}

function seconds(aggregate: AggregateName, hours: readonly number[]): number {
  const columns = [
    { name: 'f', type: { kind: 'float64' } },
    { name: 's', type: { kind: 'string' } },
  ] as const
  const view = compileView({
    spec: {
      name: 'bench',
      version: 1,
      entity: { name: 'thing', key: [{ name: 'thing', type: { kind: 'string' } }] },
      source: {
        name: 'rows',
        relation: { kind: 'table', table: 'rows' },
        key: [{ part: 'thing', column: 'thing' }],
        eventTime: 'at',
        known: null,
        columns,
      },
      availability: { kind: 'continuous' },
      derive: [],
      code: null,
      features: hours.map((each) => feature(aggregate, each)),
    },
    code: null,
    fingerprint: 'f',
  })
  const states = Array.from({ length: entities }, () => view.newState())
  const slots = view.columns.map(({ name }) => name)
  // The same numbers in every run (an LCG of Numerical Recipes).
  let seed = 7
  const random = (): number => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
  const started = process.cpuUsage()
  for (let i = 0; i < rows; i++) {
    const at = origin + Math.floor((i / rows) * span)
    const state = states[Math.floor(random() * entities)] as (typeof states)[number]
    const delay = Math.floor(random() ** 4 * 300) - 20
    const row = view.fold(
      at,
      null,
      i,
      slots.map((name) => (name === 'f' ? delay : `d${delay % 60}`)),
    )
    if (row !== null) state.add(row, at)
    if (i % 3 === 0) state.valueAt(at)
  }
  const { user, system } = process.cpuUsage(started)
  return (user + system) / 1e6
}

const figures: Figure[] = []
for (const aggregate of chosen) {
  const figure = {
    aggregate,
    hourSeconds: seconds(aggregate, [1]),
    daySeconds: seconds(aggregate, [24]),
    monthSeconds: seconds(aggregate, [720]),
    eightSeconds: seconds(aggregate, [1, 3, 6, 12, 24, 72, 168, 720]),
  }
  figures.push(figure)
  if (!options.json) {
    const { hourSeconds, daySeconds, monthSeconds, eightSeconds } = figure
    const columns = Object.entries({ '1h': hourSeconds, '24h': daySeconds, '30d': monthSeconds, eight: eightSeconds })
    process.stdout.write(`${aggregate.padEnd(14)}${columns.map(([name, time]) => `${name} ${time.toFixed(2)} s`).join('   ')}\n`)
  }
}
if (options.json) process.stdout.write(`${JSON.stringify({ rows, entities, figures }, null, 2)}\n`)
