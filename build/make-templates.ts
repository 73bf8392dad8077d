import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parquetReadObjects, asyncBufferFromFile } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

// Makes the rows of templates/ and trains their models: `node build/make-templates.ts PYTHON [TEMPLATE…]`, where PYTHON
// has the packages that templates/shared/train.py names. Run it after a change of a template's features.

const python = process.argv[2]
if (python === undefined) throw new Error('Name a Python that has scikit-learn and skl2onnx: node build/make-templates.ts .venv/bin/python')
const root = dirname(import.meta.dirname)
const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]

type Rows = readonly (readonly (string | number)[])[]

const time = (millis: number): string => `${new Date(millis).toISOString().slice(0, 19)}Z`

function writeCsv(path: string, lines: Rows): void {
  mkdirSync(dirname(join(root, 'templates', path)), { recursive: true })
  writeFileSync(join(root, 'templates', path), lines.map((line) => `${line.join(',')}\n`).join(''))
  console.log(`Wrote templates/${path}: ${lines.length - 1} rows.`)
}

/** Random numbers from 0 to 1, the same ones on every machine (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Customers order at rates of their own, and some lose interest. */
function writeOrders(): void {
  const random = randomNumbers(7)
  const wait = (mean: number): number => -mean * Math.log(1 - random())
  const [begin, end] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 2, 1)]
  const orders = Array.from({ length: 30 }, (_, i) => {
    const every = (2 + 20 * random() ** 2) * day
    const until = random() < 0.3 ? begin + random() * 50 * day : end
    const own: { customer: string; at: number; amount: number }[] = []
    for (let at = begin + wait(every); at < until; at += wait(every))
      own.push({ customer: `u${i + 1}`, at, amount: Math.round(500 + 4500 * random()) / 100 })
    return own
  })
  const inTime = orders.flat().toSorted((a, b) => a.at - b.at)
  writeCsv('minimal/data/orders.csv', [
    ['customer', 'ordered_at', 'amount'],
    ...inTime.map(({ customer, at, amount }) => [customer, time(at), amount]),
  ])
  // asked about each customer once a week, from the third week on
  const asked = Array.from({ length: 6 }, (_, week) => begin + (14 + 7 * week) * day)
  const labels = asked.flatMap((at) =>
    orders.map((own, i) => [`u${i + 1}`, time(at), own.some((order) => order.at > at && order.at <= at + 7 * day) ? 1 : 0]),
  )
  writeCsv('minimal/labels.csv', [['customer', 'asked_at', 'reordered'], ...labels])
}

/** February of the payments of docs/tutorial.md. */
function writePayments(): void {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-templates-'))
  execFileSync(process.execPath, [join(root, 'examples/tutorial/make-payments.ts')], { cwd: folder })
  const rows = (name: string): Rows => csv(readFileSync(join(folder, name), 'utf8'))
  const february = ([header = [], ...lines]: Rows): Rows => [header, ...lines.filter(([, at]) => String(at) >= '2026-02')]
  writeCsv('fraud/data/payments.csv', february(rows('payments.csv')))
  writeCsv('fraud/data/labels.csv', february(rows('labels.csv')))
  rmSync(folder, { recursive: true })
}

function csv(text: string): Rows {
  return text
    .trim()
    .split('\n')
    .map((line) => line.split(','))
}

interface Flight {
  readonly date: Date
  readonly delay: number | bigint | null
  readonly distance: number | bigint
  readonly origin: string
  readonly destination: string
}

/**
 * Flights of a week between four airports, from vega-datasets. When a flight landed is estimated as in
 * examples/flights/schema.sql.
 */
async function writeFlights(): Promise<void> {
  const file = await asyncBufferFromFile(join(root, 'node_modules/vega-datasets/data/flights-3m.parquet'))
  const all = (await parquetReadObjects({ file, compressors })) as unknown as Flight[]
  const airports = new Set(['ORD', 'LGA', 'ATL', 'DFW'])
  const [begin, end] = [Date.UTC(2001, 5, 1), Date.UTC(2001, 5, 8)]
  const flights = all
    .filter(({ date, origin, destination }) => airports.has(origin) && airports.has(destination) && +date >= begin && +date < end)
    .map((flight) => ({
      ...flight,
      at: Number(flight.date),
      delay: flight.delay === null ? null : Number(flight.delay),
      distance: Number(flight.distance),
    }))
    .toSorted((a, b) => a.at - b.at || (a.origin + a.destination < b.origin + b.destination ? -1 : 1))
  writeCsv('flights/data/landings.csv', [
    ['destination', 'departed_at', 'landed_at', 'delay', 'distance'],
    ...flights.map(({ destination, at, delay, distance }) => [
      destination,
      time(at),
      time(at + ((delay ?? 0) + (distance * 60) / 500) * minute),
      delay ?? '',
      distance,
    ]),
  ])
  writeCsv('flights/data/departures.csv', [
    ['origin', 'departed_at', 'distance'],
    ...flights.map(({ origin, at, distance }) => [origin, time(at), distance]),
  ])
  // the first day is only history
  writeCsv('flights/labels.csv', [
    ['origin', 'destination', 'asked_at', 'distance', 'late'],
    ...flights
      .filter(({ at, delay }) => at >= begin + day && delay !== null)
      .map(({ origin, destination, at, distance, delay }) => [
        origin,
        destination,
        time(at - hour / 2),
        distance,
        (delay ?? 0) > 15 ? 1 : 0,
      ]),
  ])
}

/** Trains as a user would: what the README of the template says, in a project of its own. */
function train(
  template: string,
  service: string,
  timeColumn: string,
  model: string,
  sources: readonly string[],
  labels = 'labels.csv',
): void {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-templates-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/lockstep'))
  const lockstep = (...words: readonly string[]): void => {
    execFileSync(process.execPath, [join(root, 'cli/main.ts'), ...words], { cwd: folder, stdio: 'inherit' })
  }
  lockstep('init', '--template', template)
  lockstep('migrate')
  lockstep('apply')
  for (const name of sources) lockstep('ingest', name, `data/${name}.csv`)
  lockstep('dataset', 'create', service, '--spine', labels, '--time', timeColumn, '--out', 'train.csv')
  mkdirSync(join(folder, 'models'), { recursive: true })
  execFileSync(python ?? '', ['train.py', 'train.csv', labels, `models/${model}.onnx`], { cwd: folder, stdio: 'inherit' })
  mkdirSync(join(root, 'templates', template, 'models'), { recursive: true })
  copyFileSync(join(folder, `models/${model}.onnx`), join(root, 'templates', template, `models/${model}.onnx`))
  rmSync(folder, { recursive: true })
}

const make: Readonly<Record<string, () => void | Promise<void>>> = {
  minimal() {
    writeOrders()
    train('minimal', 'reorder_features', 'asked_at', 'reorder', ['orders'])
  },
  fraud() {
    writePayments()
    train('fraud', 'fraud_features', 'paid_at', 'fraud', ['payments'], 'data/labels.csv')
  },
  async flights() {
    await writeFlights()
    train('flights', 'flight_features', 'asked_at', 'delay', ['landings', 'departures'])
  },
}
const asked = process.argv.slice(3)
for (const [name, work] of Object.entries(make)) if (asked.length === 0 || asked.includes(name)) await work()
