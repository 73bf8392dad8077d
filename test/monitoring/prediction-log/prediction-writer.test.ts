import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import { createLogger } from '../../../runtime/log.ts'
import { createPredictionWriter } from '../../../monitoring/prediction-log/prediction-writer.ts'
import { until } from '../../serving/gate.ts'
import type { World } from '../../serving/world.ts'
import { createWorld, noon } from '../../serving/world.ts'
import { loggedRow } from './logged-row.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
})
afterAll(() => world?.close())

const dayMicros = 86_400_000_000
const row = loggedRow(noon, { predictionId: 'r/0' })

it('writes to a table under read, and keeps rows of a day until it has a partition', async () => {
  const dropped: unknown[] = []
  const deps = {
    database: () => world.db,
    metrics: { written: () => undefined, dropped: (...all: unknown[]) => void dropped.push(all) },
    log: createLogger('silent'),
  }
  const days = async () => (await world.db.query(`select from pg_inherits where inhparent = 'lockstep.prediction_log'::regclass`)).length
  const before = createPredictionWriter(deps)
  before.add(row)
  expect(await before.write()).toBe(true)
  await until(async () => (await days()) === 2)

  const [today, later] = [createPredictionWriter(deps), createPredictionWriter(deps)]
  await world.db.kysely.transaction().execute(async (transaction) => {
    await sql`select from lockstep.prediction_log limit 1`.execute(transaction)
    // the day after tomorrow is to be made, and is not waited for
    today.add({ ...row, at: noon + dayMicros })
    expect(await today.write()).toBe(true)
    later.add({ ...row, at: noon + 5 * dayMicros })
    expect(await later.write()).toBe(false)
    expect([later.rows, await days()]).toEqual([1, 2])
  })
  expect(await later.write()).toBe(true)
  expect(later.rows).toBe(0)
  expect(dropped).toEqual([])
  const snapshots = await world.db.query(`select snapshot::text as snapshot from lockstep.prediction_log`)
  expect(snapshots).toEqual([1, 2, 3].map(() => ({ snapshot: '3:7:4,5' })))
})

it('logs once that the table refuses rows, warns since when, and counts all', async () => {
  const logged: string[] = []
  const dropped: unknown[] = []
  const writer = createPredictionWriter({
    database: () => world.db,
    metrics: { written: () => undefined, dropped: (...all: unknown[]) => void dropped.push(all) },
    log: createLogger('info', { write: (line) => void logged.push(line) }),
  })
  await world.db.script('alter table lockstep.prediction_log add constraint refused check (false) not valid')
  try {
    for (let batch = 0; batch < 5; batch++) {
      writer.add({ ...row, at: noon + batch * 1e6 })
      expect(await writer.write()).toBe(true)
    }
  } finally {
    await world.db.script('alter table lockstep.prediction_log drop constraint refused')
  }
  expect(logged).toEqual([expect.stringMatching(/"level":"warn".*"rows":1,.*refused.*the prediction log cannot be written/)])
  expect(dropped).toEqual(Array.from({ length: 5 }, () => ['refused', 1]))
  const since = formatTimestamp(noon)
  expect(writer.warnings()).toEqual([expect.stringContaining(`The prediction log has refused all rows since ${since}, and they are lost`)])
  writer.add(row)
  await writer.write()
  expect(writer.warnings()).toEqual([])
})

it('keeps rows while the database has no free disk space', async () => {
  const dropped: unknown[] = []
  const writer = createPredictionWriter({
    database: () => world.db,
    metrics: { written: () => undefined, dropped: (...all: unknown[]) => void dropped.push(all) },
    log: createLogger('silent'),
  })
  await world.db.script(`
    create function no_room() returns trigger language plpgsql as $$ begin raise 'no room' using errcode = '53100'; end $$;
    create trigger no_room before insert on lockstep.prediction_log for each row execute function no_room()`)
  writer.add(row)
  try {
    expect(await writer.write()).toBe(false)
  } finally {
    await world.db.script('drop trigger no_room on lockstep.prediction_log; drop function no_room')
  }
  expect([writer.rows, writer.warnings(), dropped]).toEqual([1, [], []])
  expect(await writer.write()).toBe(true)
  expect([writer.rows, dropped]).toEqual([0, []])
})

it('warns no more once the table takes later rows of another process', async () => {
  const deps = {
    database: () => world.db,
    metrics: { written: () => undefined, dropped: () => undefined },
    log: createLogger('silent'),
  }
  const [quiet, other] = [createPredictionWriter(deps), createPredictionWriter(deps)]
  const later = noon + 20 * dayMicros
  // which is no sign that it takes rows again
  other.add({ ...row, at: later - 1 })
  await other.write()
  await world.db.script('alter table lockstep.prediction_log add constraint refused check (false) not valid')
  try {
    quiet.add({ ...row, at: later })
    expect(await quiet.write()).toBe(true)
  } finally {
    await world.db.script('alter table lockstep.prediction_log drop constraint refused')
  }
  expect(quiet.warnings()).toHaveLength(1)
  other.add({ ...row, at: later + 1 })
  await other.write()
  await vi.waitFor(() => expect(quiet.warnings()).toEqual([]), 60_000)
})
