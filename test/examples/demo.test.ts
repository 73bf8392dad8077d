import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { hasWorker } from '../../runtime/postgres/worker-sessions.ts'
import type { Running } from '../cli/run-lockstep.ts'
import { killAll, startProgram } from '../cli/run-lockstep.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'

let folder: string
/** Resolves when the last demo that was started has ended. */
let ended: Promise<unknown> = Promise.resolve()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-demo-'))
})
// a test that has timed out leaves its demo running
afterEach(async () => {
  killAll()
  await ended
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs the demo on every 400th of the flights, on any free port where none is given; without settings, embedded. */
async function demo(
  port = 0,
  directory = folder,
  options = ['--every', '400'],
  settings: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly text: string }> {
  const { code, out, err } = await startDemo(port, directory, ['--once', ...options], settings).ended
  return { code, text: out + err }
}

/** The hours of the data, from the first live one on, about whose flights the server was asked. */
async function liveHours(
  db: Database,
): Promise<readonly { readonly hour: number; readonly askedAtMs: number; readonly inMetres: boolean }[]> {
  return await db.query(
    `select (extract(epoch from as_of - '2001-06-27T00:00:00Z') / 3600)::int as hour, (extract(epoch from min(at)) * 1000)::float8 as "askedAtMs",
       bool_or((request->>'distance')::float8 > 10000) as "inMetres"
     from lockstep.prediction_log where as_of > '2001-06-27T00:00:00Z' and role <> 'backfill' group by as_of order by as_of`,
    [],
  )
}

function startDemo(port: number, directory: string, options: readonly string[], settings: Readonly<Record<string, string>>): Running {
  const program = { main: join(rootFolder, 'examples/flights/demo.ts'), cwd: rootFolder }
  const running = startProgram(program, { ...settings, LOCKSTEP_DIR: directory, LOCKSTEP_PORT: String(port) }, ...options)
  ended = running.ended
  return running
}

describe('the demo', () => {
  it('exits before it starts if its port is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as AddressInfo
    const directory = join(folder, 'untouched')
    const { code, text } = await demo(port, directory)
    await new Promise((resolve) => taken.close(resolve))
    expect([code, text]).toEqual([1, expect.stringMatching(new RegExp(`^error PORT_IN_USE: The port "${port}" on "127.0.0.1" is in use`))])
    expect(existsSync(directory)).toBe(false)
  }, 300_000)

  it('runs to the end, even over the leftovers of an earlier run', async () => {
    // with --rollout, it runs with the embedded stores
    const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
    const stores = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix }
    const first = await demo(0, folder, undefined, stores)
    expect(first.code, first.text).toBe(0)
    for (let step = 1; step <= 6; step++) expect(first.text).toContain(`[${step}/6] done in`)
    expect(first.text).toContain('There are 7,500 flights and 3,376 airports.')
    expect(Number(/Logged ([\d,]+) predictions of delay@1/.exec(first.text)?.[1]?.replace(',', ''))).toBeGreaterThan(1_000)
    expect(first.text).toMatch(/Stored 5\d reports of quality and drift/)
    expect(Number(/AUC on June: ([\d.]+)/.exec(first.text)?.[1])).toBeGreaterThan(0.55)
    expect(
      first.text.match(/probability of being more than 15 minutes late [\d.]+ %, as of 2001-06-27T00:00:00Z, by version 1,/g),
    ).toHaveLength(4)
    expect(first.text).toMatch(/^origin__lastDelay .*PRESENT/m)

    // as flights that were asked about live
    const db = openPostgres(database.url)
    await db.script(`
      create temporary table live as select * from lockstep.prediction_log where prediction_id like 'flight-%' limit 300;
      update live set role = 'champion';
      insert into lockstep.prediction_log select * from live`)
    // enough flights of the live part for a rollout to be decided within some hours of them
    await db.script(`
      insert into flights (date, delay, distance, origin, destination)
      select date + interval '1 minute' * n, delay, distance, origin, destination from flights, generate_series(1, 30) n
      where date >= '2001-06-27' and date < '2001-06-28'`)
    // it goes on live, as its own worker
    const second = startDemo(0, folder, ['--every', '400'], stores)
    await second.until(/^Run \d+ of the training weekly_delays: registered\.$/m)
    await second.until(/^delay@3 gets 20 % of the requests/m)
    expect(await hasWorker(db)).toBe(true)
    await second.until(/^The flights go on, for \d+ hours of the data/m)
    await second.until(/^The server stays up on .* until you press Ctrl-C/m)
    expect(await db.query('select version, state from lockstep.rollouts order by id')).toEqual([
      { version: 3, state: 'rolled back' },
      { version: 2, state: 'running' },
    ])
    // another client asks about the same flights in metres, the clock of the data moves on, and flights land
    await vi.waitFor(async () => {
      const asked = await liveHours(db)
      expect(asked).toContainEqual(expect.objectContaining({ inMetres: true }))
      expect(asked.length).toBeGreaterThan(2)
      expect(await db.query('select from lockstep_source.lost_minutes limit 1', [])).toHaveLength(1)
    }, 180_000)
    second.child.kill('SIGINT')
    const { code, out, err } = await second.ended
    // no process of it works on
    await vi.waitFor(async () => expect(await hasWorker(db)).toBe(false), 60_000)
    const hours = await liveHours(db)
    await db.close()
    await database.drop()
    // from the first hour that has flights
    expect(hours.map(({ hour }) => hour)).toEqual(hours.map((_, i) => (hours[0]?.hour ?? 0) + i))
    const askedAt = hours.map(({ askedAtMs }) => askedAtMs)
    expect(askedAt).toEqual(askedAt.toSorted((a, b) => a - b))
    expect(code, out + err).toBe(0)
    expect(err).not.toContain('the replay has ended')
    expect(out).not.toContain('$ lockstep ingest')
    expect(/AUC on June: .*/.exec(out)?.[0]).toBe(/AUC on June: .*/.exec(first.text)?.[0])
  }, 900_000)

  it('with --rollout changes versions: shadow, a roll-back, an experiment, a promotion', async () => {
    const { code, text } = await demo(0, folder, ['--rollout', '--every', '40'])
    expect(code, text).toBe(0)
    for (let step = 1; step <= 10; step++) expect(text).toContain(`[${step}/10] done in`)
    expect(Number(/Of ([\d,]+) answers, [\d.]+ % differ by more than 0.01/.exec(text)?.[1])).toBeGreaterThan(20)
    expect(text).toMatch(/^candidate {2}delay@3\nstate {6}ended: rolled back at/m)
    expect(text).toMatch(/roll back {2}step 1 {2}by rollout controller.*\n {4}.*(Servers bypass|errors: )/)
    expect(text).toMatch(/No request failed, and it was rolled back after [\d.]+ s/)
    const found = /Minutes lost by flight: control ([\d.]+) \((\d+) flights\), treatment ([\d.]+) \((\d+) flights\)/.exec(text)
    expect(Number(found?.[2]), text).toBeGreaterThan(100)
    expect(Number(found?.[4]), text).toBeGreaterThan(100)
    expect(text).toMatch(/decided for (treatment|control)/)
    if (text.includes('decided for treatment')) expect(text).toMatch(/^candidate {2}delay@2\nstate {6}ended: promoted at/m)
  }, 900_000)
})
