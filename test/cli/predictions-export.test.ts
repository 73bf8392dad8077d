import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { dayOf, predictionPartitions } from '../../monitoring/day-partitions.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { createServer } from '../../serving/server.ts'
import { applyPayments, hour, payments, start } from '../monitoring/outcomes/payments.ts'
import type { OpenedServer } from '../opened-database.ts'
import { openServer } from '../opened-database.ts'
import { load } from '../registry/definition-files.ts'

// Exports with outcomes, compared with SQL that looks among all rows of the source for each prediction.

let opened: OpenedServer
let folder: string

beforeAll(async () => {
  opened = await openServer()
  folder = await mkdtemp(join(tmpdir(), 'lockstep-predictions-export-'))
  const { db } = opened
  const service = (await applyPayments(db)).service('fraud_features@1')
  const begin = `timestamptz '${formatTimestamp(start)}'`
  await predictionPartitions.create(db, new Set([0, 1, 2].map((day) => dayOf(start + day * 24 * hour))))
  // every tenth has a shadow, and two are of a server that gave no ids
  await db.script(`INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, service, service_fingerprint, as_of,
      entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed, role)
    SELECT at, 'r' || i || suffix, CASE WHEN i > 2 THEN 'r' || i || suffix || '/0' END, 0, 'fraud', version, 'fraud_features@1', '${service.fingerprint}',
      at - (i % 3) * interval '1 minute', '{}', json_build_object('card', 'c' || i % 20), '{}', json_build_object('paid1h', i), '{}', '[]',
      json_build_object('probability', i % 8 / 8.0), 1, false, false, role
    FROM generate_series(1, 600) i, LATERAL (SELECT ${begin} + (i * 7 % 61) * interval '1 hour' AS at) a,
      (VALUES ('', 1, 'champion'), ('.shadow', 2, 'shadow')) r(suffix, version, role)
    WHERE role = 'champion' OR i % 10 = 0;
    INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, loss, is_fraud)
    SELECT 'c' || j * 13 % 25, 'r' || j * 17 % 500 || '/0', happened,
      CASE WHEN (j + again) % 4 > 0 THEN happened + ((j + again) % 5) * interval '10 hours' END,
      nullif(j % 7, again * 3) * 30, CASE WHEN j % 6 > 0 THEN (j + again) % 2 = 0 END
    FROM generate_series(1, 900) j, LATERAL (SELECT ${begin} + (j * 11 % 97) * interval '1 hour' AS happened) h, generate_series(0, 2) again
    WHERE again = 0 OR j % 4 = again`)
})
afterAll(async () => {
  await opened?.close()
  await rm(folder, { recursive: true, force: true })
})

/** A command as in a process of its own. */
async function run(...words: readonly string[]): Promise<Outcome> {
  return await runWith({ LOCKSTEP_POSTGRES_URL: opened.url }, ...words)
}

async function runWith(settings: Readonly<Record<string, string>>, ...words: readonly string[]): Promise<Outcome> {
  const config = loadConfig({ LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent', ...settings })
  const context = createContext(config, createTerminal(true), new AbortController().signal)
  return await withContext(context, async () => (await prepare(words))(context))
}

type Row = Readonly<Record<string, unknown>>
const now = start + 70 * hour

/** Exports the predictions of all three days. @returns the rows of the file, and what the command answers */
async function exported(...options: readonly string[]): Promise<{ readonly rows: Row[]; readonly text: string; readonly json: Row }> {
  const out = join(folder, 'served.jsonl')
  const { json, text } = await run('predictions', 'export', 'fraud', '--since', '36500d', '--overwrite', '--out', out, ...options)
  const lines = (await readFile(out, 'utf8')).split('\n').filter((line) => line !== '')
  return { rows: lines.map((line) => JSON.parse(line) as Row), text, json: json as Row }
}

/** In SQL, the reports `r` that may say what came of a prediction `p`, the one that counts first. */
const sources = {
  prediction: `r.prediction_id = CASE p.role WHEN 'shadow' THEN replace(p.prediction_id, '.shadow/', '/') ELSE p.prediction_id END`,
  entity: `r.card = p.keys->>'card' AND r.happened_at > p.as_of`,
}
const outcomes = [
  { name: 'labelled', match: sources.prediction, first: 'DESC', value: 'r.is_fraud', missing: 'null' },
  { name: 'costly', match: sources.prediction, first: 'DESC', value: 'r.loss > 100', missing: 'false' },
  { name: 'lost', match: sources.entity, first: 'ASC', value: 'r.loss', missing: '0' },
  { name: 'lost_last', match: sources.entity, first: 'DESC', value: 'r.loss', missing: 'null' },
] as const

async function expectedOf({ match, first, value, missing }: (typeof outcomes)[number], asOf: number): Promise<unknown[]> {
  const moment = `timestamptz '${formatTimestamp(asOf)}'`
  const text = (time: string) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
  return await opened.db.query(
    `SELECT p.request_id AS "_request_id", CASE WHEN state = 'matched' THEN to_json(o.value) WHEN state = 'missing' THEN to_json(${missing}) END AS "_outcome",
       state AS "_outcome_state", ${text('o.happened_at')} AS "_outcome_at", ${text('o.known')} AS "_outcome_known_at"
     FROM lockstep.prediction_log p
     LEFT JOIN LATERAL (
       SELECT ${value} AS value, r.happened_at, greatest(r.happened_at, r.reported_at) AS known
       FROM lockstep_source.reports r
       WHERE p.prediction_id IS NOT NULL AND p.as_of + interval '1 day' <= ${moment} AND ${match}
         AND r.happened_at <= p.as_of + interval '1 day' AND greatest(r.happened_at, r.reported_at) <= ${moment}
       ORDER BY r.happened_at ${first}, known DESC, r."_row" DESC LIMIT 1) o ON true,
     LATERAL (SELECT CASE WHEN p.prediction_id IS NULL THEN NULL WHEN p.as_of + interval '1 day' > ${moment} THEN 'immature'
       WHEN o.happened_at IS NULL THEN 'missing' ELSE 'matched' END AS state) s
     WHERE p.at < ${moment} ORDER BY p.at, p.request_id COLLATE "C", p.entity`.replace(`to_json(null)`, 'null'),
  )
}

const added = ['_outcome', '_outcome_state', '_outcome_at', '_outcome_known_at']
const addedOf = (row: Row): Row => Object.fromEntries(['_request_id', ...added].map((name) => [name, row[name]]))
const loggedOf = (row: Row): Row => Object.fromEntries(Object.entries(row).filter(([name]) => !added.includes(name)))

describe('predictions export --outcome', () => {
  it.each(outcomes)('adds to each row what came of it, as SQL finds it: $name', async (outcome) => {
    for (const asOf of [now, start + 40 * hour, start + 200 * hour]) {
      const { rows, json } = await exported('--outcome', outcome.name, '--as-of', formatTimestamp(asOf))
      expect(rows.map(addedOf)).toEqual(await expectedOf(outcome, asOf))
      const count = (is: (row: Row) => boolean) => rows.filter(is).length
      const counts = {
        labelled: count((row) => row['_outcome'] !== null),
        assumed: count((row) => row['_outcome'] !== null && row['_outcome_state'] === 'missing'),
        unlabelled: count((row) => row['_outcome'] === null && row['_outcome_state'] !== 'immature'),
        immature: count((row) => row['_outcome_state'] === 'immature'),
      }
      expect(json).toMatchObject({ rows: rows.length, outcome: { name: outcome.name, asOf: formatTimestamp(asOf), ...counts } })
      // each kind of row is among them
      expect([counts.labelled, counts.unlabelled].every((each) => each > 0)).toBe(true)
    }
  })

  it('keeps the rows, their order and their values as they are without it', async () => {
    const plain = await exported()
    const withOutcome = await exported('--outcome', 'labelled')
    expect(plain.rows).toHaveLength(660)
    expect(plain.json).not.toHaveProperty('outcome')
    expect(Object.keys(withOutcome.rows[0] ?? {})).toEqual([...Object.keys(plain.rows[0] ?? {}), ...added])
    expect(withOutcome.rows.map(loggedOf)).toEqual(plain.rows)
  })

  it('agrees with the counts of "outcome show"', async () => {
    const time = ['--since', '30d', '--as-of', formatTimestamp(now)]
    const { counts } = (await run('outcome', 'show', 'costly', ...time)).json as { counts: Row }
    const { rows } = await exported('--outcome', 'costly', ...time.slice(2))
    const states = ['matched', 'missing', 'immature'].map((state) => rows.filter((row) => row['_outcome_state'] === state).length)
    expect(states).toEqual([counts['matched'], counts['missing'], counts['immature']])
  })

  it('leaves out rows without a value with --labelled, and says how many', async () => {
    const time = ['--as-of', formatTimestamp(now)]
    const all = await exported('--outcome', 'costly', ...time)
    const some = await exported('--outcome', 'costly', '--labelled', ...time)
    expect(some.rows).toEqual(all.rows.filter((row) => row['_outcome'] !== null))
    expect(some.json['outcome']).toEqual(all.json['outcome'])
    const { labelled, assumed, unlabelled, immature } = some.json['outcome'] as Readonly<Record<string, number>>
    expect(some.text).toContain(`${labelled} with a value, ${assumed} of them the declared one, because no row came.`)
    expect(some.text).toContain(`${immature} not mature yet and ${unlabelled} mature without a value: not in the file.`)
  })

  it('writes the same to CSV and Parquet', async () => {
    const options = ['--since', '36500d', '--outcome', 'lost', '--as-of', formatTimestamp(now)]
    const { rows } = await exported(...options.slice(2))
    const [csv, parquet] = [join(folder, 'served.csv'), join(folder, 'served.parquet')]
    for (const out of [csv, parquet]) await run('predictions', 'export', 'fraud', '--out', out, ...options)
    const values = rows.map(({ _outcome, _outcome_state, _outcome_at, _outcome_known_at }) => [
      _outcome ?? null,
      _outcome_state ?? null,
      ...[_outcome_at, _outcome_known_at].map((time) => (typeof time === 'string' ? Date.parse(time) : null)),
    ])
    const objects = await parquetReadObjects({ file: (await readFile(parquet)).buffer })
    expect(objects.map((row) => added.map((name) => (row[name] instanceof Date ? Number(row[name]) : (row[name] ?? null))))).toEqual(values)
    const [head, ...lines] = (await readFile(csv, 'utf8')).trimEnd().split(/\r?\n/)
    expect(head?.split(',').slice(-4)).toEqual(added)
    expect(lines.map((line) => line.split(',').slice(-4))).toEqual(
      rows.map((row) => added.map((name) => (row[name] === null ? '' : JSON.stringify(row[name]).replaceAll('"', '')))),
    )
  })

  it('writes and says the same through a server', async () => {
    const server = createServer({
      config: { bodyLimitBytes: 100_000 },
      database: async () => openPostgres(opened.url),
      store: async () => openEmbeddedStore(folder),
      log: createLogger('silent'),
      metrics: new Registry(),
      clock: () => start + 300 * hour,
    })
    onTestFinished(() => server.close())
    const { url } = await server.listen('127.0.0.1', 0)
    // it is never ready, as nothing is materialized
    await expect.poll(async () => (await fetch(`${url}/v1/models`)).status, { timeout: 60_000 }).toBe(200)
    const [here, there, second] = ['here.csv', 'there.csv', 'second.parquet'].map((name) => join(folder, name)) as [string, string, string]
    const words = (out: string) => ['predictions', 'export', 'fraud', '--since', '36500d', '--out', out]
    const time = ['--outcome', 'costly', '--labelled', '--as-of', formatTimestamp(now)]
    const { path: _, ...json } = (await run(...words(here), ...time)).json as Row
    const settings = { LOCKSTEP_SERVER: url }
    const { path, ...same } = (await runWith(settings, ...words(there), ...time)).json as Row
    expect([path, same]).toEqual([there, json])
    expect(await readFile(there)).toEqual(await readFile(here))
    await runWith(settings, ...words(second))
    expect(await parquetReadObjects({ file: (await readFile(second)).buffer })).toHaveLength(660)

    const ask = async (query: string) => await fetch(`${url}/v1/predictions/export?${query}`)
    expect(await (await ask('model=fraud&labelled=true')).json()).toMatchObject({
      error: { code: 'INVALID_REQUEST', message: expect.stringContaining('add "outcome"') as string },
    })
    expect(await (await ask('model=fruad')).json()).toMatchObject({ error: { code: 'UNKNOWN_DEFINITION' } })
    expect((await ask('since=1h')).status).toBe(400)
  })

  it('exits with --if-empty where no row is left', async () => {
    const out = join(folder, 'none.csv')
    const words = ['predictions', 'export', 'fraud', '--out', out, '--outcome', 'labelled', '--labelled', '--if-empty', '99']
    expect(await run(...words, '--as-of', '2020-01-01T00:00:00Z')).toMatchObject({ exitCode: 99, json: { rows: 0 } })
  })

  it('has the values of an outcome that judges no output', async () => {
    const { db } = opened
    const judging = payments.replaceAll(`'lost_last', {`, `'lost_unjudged', { output: null,`)
    const { rows: before } = await exported('--outcome', 'lost_last', '--as-of', formatTimestamp(now))
    await applyChanges(db, await load({ 'features.ts': judging }))
    const { rows } = await exported('--outcome', 'lost_unjudged', '--as-of', formatTimestamp(now))
    expect(rows).toEqual(before)
  })

  it('refuses an outcome that is not there, and options without an outcome', async () => {
    await expect(exported('--outcome', 'labeled')).rejects.toThrow('Did you mean "labelled"?')
    for (const option of [['--labelled'], ['--as-of', formatTimestamp(now)]])
      await expect(exported(...option)).rejects.toThrow(`The option "${option[0]}" is about an outcome; add "--outcome NAME".`)
  })
})
