/**
 * How fast `lockstep quality` judges logged predictions, and in how much memory. PostgreSQL makes a log of ten days, of
 * 100,000 cards, and a report for each prediction; nine of ten predictions are mature. Figures are in all, and by
 * version and country.
 *
 *     floor_seconds     the same rows, read and counted
 *     seconds           the report
 *     rows_per_second   logged predictions by `seconds`
 *     ratio             `seconds` over `floor_seconds`
 *     cpu_seconds       processor time of this process for the report; the rest is PostgreSQL's
 *     rss_mb            the peak memory of the process; `idle_rss_mb`: before it read a row
 *
 *     LOCKSTEP_POSTGRES_URL=… npm run bench -- quality [--rows 10000000] [--json]
 *
 * It works in its own database, and removes it. 10,000,000 rows need about 10 GB of disk.
 */
import { dayOf, predictionPartitions } from '../monitoring/day-partitions.ts'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { migrate } from '../migrations/migrate.ts'
import { maturePredictions } from '../monitoring/outcomes/mature-predictions.ts'
import { qualityReport } from '../monitoring/quality/quality-report.ts'
import { applyChanges } from '../registry/changes/apply.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { loadDefinitions } from '../registry/load/load-definitions.ts'
import { loadConfig } from '../runtime/config.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { clock, inOwnPlace, peakRssMb } from './in-process.ts'

const { values: args } = parseArgs({
  options: { rows: { type: 'string', default: '10000000' }, json: { type: 'boolean', default: false } },
})
const rows = Number(args.rows)
const { postgresUrl } = loadConfig()
if (postgresUrl === null || !Number.isInteger(rows) || rows < 1) {
  process.stderr.write('Set LOCKSTEP_POSTGRES_URL to a server that the bench may use, and --rows to a whole number.\n')
  process.exit(2)
}

const dayMicros = 86_400_000_000
const from = Date.UTC(2026, 0, 1) * 1000
const to = from + 10 * dayMicros

await inOwnPlace(postgresUrl, async ({ env }) => {
  const db = openPostgres(loadConfig(env).postgresUrl ?? postgresUrl)
  try {
    await migrate(db.kysely)
    await applyChanges(db, await loadDefinitions(join(import.meta.dirname, 'quality/definitions.ts')))
    say(`filled in ${(await clock(() => fill(db))).toFixed(1)} s`)
    const catalog = await loadCatalog(db)
    const idle = peakRssMb()
    const query = { outcome: catalog.outcome('reported'), from, to, asOf: to, immature: true, columns: ['country'] }
    let counted = 0
    const floor = await clock(() =>
      db.snapshot(async (snapshot) => {
        for await (const batch of maturePredictions(snapshot, query)) counted += batch.length
      }),
    )
    say(`${counted} rows are read in ${floor.toFixed(1)} s`)
    const options = { model: 'fraud', from, to, asOf: to, by: ['version', 'country'] }
    let judged = 0
    const before = process.cpuUsage()
    const seconds = await clock(async () => (judged = (await qualityReport(db, catalog, options)).total.judged))
    const { user, system } = process.cpuUsage(before)
    const figures = {
      quality_rows: rows,
      quality_judged: judged,
      floor_seconds: floor,
      seconds,
      rows_per_second: Math.round(rows / seconds),
      ratio: seconds / floor,
      cpu_seconds: (user + system) / 1e6,
      idle_rss_mb: idle,
      rss_mb: peakRssMb(),
    }
    say(
      `judged in ${seconds.toFixed(1)} s: ${figures.rows_per_second} rows/s, ${figures.ratio.toFixed(2)} times the floor, at most ${figures.rss_mb} MB`,
    )
    if (args.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
  } finally {
    await db.close()
  }
})

/** By insertion in parts, so that no part is large. */
async function fill(db: Database): Promise<void> {
  await predictionPartitions.create(
    db,
    Array.from({ length: 10 }, (_, day) => dayOf(from + day * dayMicros)),
  )
  const part = 500_000
  for (let first = 0; first < rows; first += part) {
    const last = Math.min(rows, first + part) - 1
    await db.query(`WITH made AS (
        SELECT i, 'c' || (i::bigint * 7919) % 100000 AS card, round(((hashint8(i) & 65535) / 65536.0)::numeric, 4)::float8 AS p,
          to_timestamp(${from / 1e6}) + i * interval '${(to - from) / rows} microseconds' AS at
        FROM generate_series(${first}, ${last}) i),
      reported AS (
        INSERT INTO lockstep_source.reports (prediction_id, reported_at, fraud)
        SELECT 'request-' || i || '/0', at + interval '2 hours', (hashint8(i + 7777777777) & 65535) / 65536.0 < p FROM made)
      INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, role, service, service_fingerprint, as_of,
        entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
      SELECT at, 'request-' || i, 'request-' || i || '/0', 0, 'fraud', 1 + i % 2, 'champion', 'card_features@1', '', at, '{}',
        json_build_object('card', card), '{}', json_build_object('country', (ARRAY['CH', 'DE', 'FR', 'IT'])[1 + i % 4]), '{}', '[]',
        json_build_object('probability', p), 1, false, false
      FROM made`)
  }
  await db.script('ANALYZE lockstep.prediction_log; ANALYZE lockstep_source.reports')
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
