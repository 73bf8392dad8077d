import { fork } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { rollupSeries } from '../../../monitoring/rollups/read-rollups.ts'
import { createRollupWriter, noModel } from '../../../monitoring/rollups/rollup-writer.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { createLogger } from '../../../runtime/log.ts'
import { programFile } from '../../cli/run-lockstep.ts'
import { bareEnvironment } from '../../bare-environment.ts'
import { during, openServer } from '../../opened-database.ts'
import { testRedis } from '../../services/index.ts'

const opened = during(openServer)
const minute = 60_000_000

interface Told {
  readonly minute: number
  readonly answered: number
}

it('a server that is killed under traffic loses its last minute, which is a gap and no zero', async () => {
  const { db, url } = opened()
  const redis = await testRedis()
  const child = fork(programFile('test/monitoring/faults/shop-process'), [url, redis.url, redis.prefix], { env: bareEnvironment })
  const exited = once(child, 'exit')
  const told: Told[] = []
  await new Promise<void>((resolve, reject) => {
    child.on('message', (message) => {
      told.push(message as Told)
      // it is in the middle of the fifth minute
      if (told.length === 4) resolve()
    })
    void exited.then(([code]) => reject(new Error(`The shop ended with ${code}.`)))
  })
  // requests of the next minute are under way as soon as one more of them is logged
  const next = (told.at(-1)?.minute ?? 0) + minute
  await expect
    .poll(async () => (await db.query(`SELECT FROM lockstep.prediction_log WHERE at >= to_timestamp($1) LIMIT 1`, [next / 1e6])).length, {
      timeout: 60_000,
      interval: 2,
    })
    .toBe(1)
  child.kill('SIGKILL')
  expect(await exited).toEqual([null, 'SIGKILL'])

  const from = told[0]?.minute ?? 0
  const to = next + 60 * minute
  const read = async () => await rollupSeries(db, { model: 'fraud', from, to, step: 'minute' })
  const series = await read()
  const known = series.filter(({ rollup }) => rollup !== null)
  // the poll may have been so slow that later minutes passed: all that was told was written
  expect(known.slice(0, told.length).map(({ at, rollup }) => ({ minute: at, answered: rollup?.requests }))).toEqual(told)
  expect(told.every(({ answered }) => answered > 0)).toBe(true)
  const lost = (known.at(-1)?.at ?? 0) + minute
  expect((lost - from) / minute - told.length).toBeLessThanOrEqual(1)
  expect(series.filter(({ at }) => at >= lost).every(({ rollup }) => rollup === null)).toBe(true)

  // the gap ends with the next server
  const writer = createRollupWriter({ database: () => db, log: createLogger('silent') })
  writer.add(lost + 5 * minute, 'next:1', { key: noModel, traffic: new TrafficSummary(), columns: null })
  writer.end(lost + 5 * minute, 'next:1', true)
  await writer.write()
  const after = await rollupSeries(db, { model: 'fraud', from, to, step: 'hour' })
  expect(after.flatMap(({ rollup }) => rollup?.coverage.missing ?? [])).toEqual([{ from: lost, to: lost + 5 * minute }])
  const restarted = (await read()).find(({ at }) => at === lost + 5 * minute)
  expect(restarted?.rollup?.requests).toBe(0)
})
