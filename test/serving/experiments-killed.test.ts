import { afterAll, beforeAll, expect, it } from 'vitest'
import { rebuildExposures } from '../../monitoring/exposures/rebuild-exposures.ts'
import { startExperiment } from '../../registry/experiments/change-experiment.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Running } from '../cli/run-lockstep.ts'
import { killAll, start, whenReady } from '../cli/run-lockstep.ts'
import { until } from './gate.ts'
import { withExperiments } from './experiment-set.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

let world: World
const servers: { readonly running: Running; readonly url: string }[] = []

beforeAll(async () => {
  world = await createWorld('redis')
  await applyChanges(world.db, withExperiments(1))
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
  await promoteModel(world.db, 'delay', 1, { actor: 'test' })
  const env = {
    LOCKSTEP_POSTGRES_URL: world.postgresUrl,
    LOCKSTEP_REDIS_URL: world.redis.url,
    LOCKSTEP_REDIS_PREFIX: world.redis.prefix,
    LOCKSTEP_LOG_PREDICTIONS: '1',
  }
  for (const running of [start(env, 'serve', '--port', '0', '--json'), start(env, 'serve', '--port', '0', '--json')]) {
    const url = (await running.until(/"url": "(http:[^"]+)"/))[1] ?? ''
    await whenReady(url)
    servers.push({ running, url })
  }
})
afterAll(async () => {
  killAll()
  await world?.close()
})

async function predict(url: string, units: readonly string[]): Promise<string> {
  const response = await fetch(`${url}/v1/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'delay', entities: units.map((airport) => ({ airport, distance: 1 })) }),
  })
  const text = await response.text()
  expect(response.status, text).toBe(200)
  return text
}

/** Without the units that ask whether a server routes by the experiment. */
async function exposed(run: number): Promise<{ unit: string; variant: string; rows: number }[]> {
  return await world.db.query(
    `SELECT unit, variant, rows::int AS rows FROM lockstep.exposures WHERE experiment_id = $1 AND unit NOT LIKE 'p%' ORDER BY unit`,
    [run],
  )
}

it('exposures of two server processes equal their logs; what a killed one lost is rebuilt', async () => {
  const { experiment: run } = await startExperiment(world.db, 'prices', {}, { actor: 'test' })
  const [clean, killed] = servers as [(typeof servers)[number], (typeof servers)[number]]
  const units = (of: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${of}${String(i).padStart(4, '0')}`)
  for (const { url } of servers) await until(async () => (await predict(url, units('p', 20))).includes('"role":"arm"'))
  const [shared, own, first, last] = [units('s', 300), units('c', 300), units('k', 300), units('l', 20)]
  // at the same time, in many requests, some units on both
  const load = (url: string, all: readonly string[]) =>
    Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        predict(
          url,
          all.filter((__, at) => at % 20 === i),
        ),
      ),
    )
  await Promise.all([load(clean.url, [...shared, ...own]), load(killed.url, [...shared, ...first])])
  const answered = [...shared, ...own, ...first]
  // an experiment on 0.8 of the units: what the log has
  const logged = async () =>
    await world.db.query<{ unit: string; variant: string; rows: number }>(
      `SELECT keys->>'airport' AS unit, variant, count(*)::int AS rows FROM lockstep.prediction_log WHERE experiment IS NOT NULL AND keys->>'airport' NOT LIKE 'p%'
       GROUP BY 1, 2 ORDER BY (keys->>'airport') COLLATE "C"`,
    )
  await until(async () => {
    const [log, all] = [
      await logged(),
      await world.db.query<{ n: number }>(`SELECT count(*)::int AS n FROM lockstep.prediction_log WHERE keys->>'airport' NOT LIKE 'p%'`),
    ]
    return all[0]?.n === answered.length + shared.length && (await exposed(run.id)).length === log.length
  })
  const before = await logged()
  expect(before.length).toBeGreaterThan(answered.length * 0.6)

  await predict(killed.url, last)
  killed.running.child.kill('SIGKILL')
  clean.running.child.kill('SIGTERM')
  expect((await clean.running.ended).code).toBe(0)
  await killed.running.ended
  const after = await exposed(run.id)
  expect(after.filter(({ unit }) => !unit.startsWith('l')).map(({ unit, variant }) => [unit, variant])).toEqual(
    before.map(({ unit, variant }) => [unit, variant]),
  )
  // the clean one counted all rows of the units that only it had
  expect(after.filter(({ unit }) => unit.startsWith('c'))).toEqual(before.filter(({ unit }) => unit.startsWith('c')))
  const recorders = await world.db.query<{ open: boolean; lost: number }>(
    `SELECT closed_at IS NULL AS open, lost::int AS lost FROM lockstep.exposure_recorders WHERE experiment_id = $1 ORDER BY 1`,
    [run.id],
  )
  expect(recorders).toEqual([
    { open: false, lost: 0 },
    { open: true, lost: 0 },
  ])

  // what the killed one has logged comes back: as if its last exposures had not been written
  const taken = first.slice(0, 50)
  const gone = await world.db.query<{ unit: string }>(
    'DELETE FROM lockstep.exposures WHERE experiment_id = $1 AND unit = ANY ($2) RETURNING unit',
    [run.id, taken],
  )
  expect(gone.length).toBeGreaterThan(20)
  const inTenMinutes = (Date.now() + 600_000) * 1000
  expect(await rebuildExposures(world.db, run, 0, inTenMinutes)).toBeGreaterThanOrEqual(gone.length)
  const rebuilt = await exposed(run.id)
  expect(rebuilt.map(({ unit, variant }) => [unit, variant])).toEqual((await logged()).map(({ unit, variant }) => [unit, variant]))
  const [entity] = await world.db.query<{ same: boolean }>(
    `SELECT bool_and((e.propensity = 0.5) AND e.entity->>'airport' = e.unit AND cardinality(e.entities) > 0) AS same
     FROM lockstep.exposures e WHERE e.experiment_id = $1 AND e.rebuilt`,
    [run.id],
  )
  expect(entity?.same).toBe(true)
})
