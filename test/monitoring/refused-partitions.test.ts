import { Registry } from 'prom-client'
import { expect, it, onTestFinished } from 'vitest'
import { createLogMetrics } from '../../monitoring/prediction-log/log-metrics.ts'
import { createPredictionWriter } from '../../monitoring/prediction-log/prediction-writer.ts'
import { createRollupRecorder } from '../../monitoring/rollups/rollup-recorder.ts'
import { createRollupWriter } from '../../monitoring/rollups/rollup-writer.ts'
import { predictionPartitions, rollupPartitions } from '../../monitoring/day-partitions.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { openServer } from '../opened-database.ts'
import { until } from '../serving/gate.ts'
import { loggedRow } from './prediction-log/logged-row.ts'

const dayMicros = 86_400_000_000
const day = 20_000
const noon = day * dayMicros + dayMicros / 2

/** A database whose tables belong to another role, which has made the partitions of one day. */
async function openAsMember() {
  const { db: owner, url, close } = await openServer()
  const role = `partitions_${process.pid}`
  await predictionPartitions.create(owner, [day])
  await rollupPartitions.create(owner, [day])
  await owner.script(`create role ${role} login password 'member'; grant usage, create on schema lockstep to ${role};
    grant select, insert, update, delete on all tables in schema lockstep to ${role}`)
  const db = openPostgres(Object.assign(new URL(url), { username: role, password: 'member' }).href)
  onTestFinished(async () => {
    await db.close()
    await owner.script(`drop owned by ${role} cascade; drop role ${role}`)
    await close()
  })
  return { db, owner }
}

const rowsOf = async (registry: Registry) => (await registry.getSingleMetric('lockstep_prediction_log_rows_total')?.get())?.values[0]?.value

it('a role that may not create partitions is reported a day ahead, and while it loses data', async () => {
  const { db, owner } = await openAsMember()
  const registry = new Registry()
  const log = createLogger('silent')
  const writer = createPredictionWriter({ database: () => db, metrics: createLogMetrics(registry, () => 0), log })
  writer.add(loggedRow(noon, { predictionId: 'r/0' }))
  await writer.write()
  expect(await rowsOf(registry)).toBe(1)
  await until(() => Promise.resolve(writer.warnings().length > 0))
  const ahead =
    /^The partition of the prediction log for 2024-10-05 cannot be created: must be owner of table prediction_log\. "lockstep doctor"/
  expect(writer.warnings()).toEqual([expect.stringMatching(ahead)])
  writer.add(loggedRow(noon + dayMicros, { predictionId: 'r/1' }))
  await writer.write()
  expect(writer.warnings()).toEqual([
    expect.stringMatching(/^The prediction log has refused all rows since 2024-10-05T12:00:00Z, and they are lost: must be owner/),
  ])

  let now = noon
  let failures = 0
  const recorder = createRollupRecorder(
    { writer: createRollupWriter({ database: () => db, log }), baselineOf: () => null, log, clock: () => now },
    { rowsPerSecond: 0, onFailure: () => failures++ },
  )
  const minuteOver = async (at: number) => {
    now = at
    await recorder.flush()
    return recorder.warnings()
  }
  expect(await minuteOver(noon + 60_000_000)).toEqual([
    expect.stringMatching(/^The partition of the model statistics for 2024-10-05 cannot be created: must be owner/),
  ])
  expect(failures).toBe(0)
  await minuteOver(noon + dayMicros)
  expect(await minuteOver(noon + dayMicros + 60_000_000)).toEqual([
    expect.stringMatching(/^The model statistics cannot be written: must be owner of table rollups\. "lockstep doctor"/),
  ])
  expect(failures).toBeGreaterThan(0)

  // the owner creates them
  await predictionPartitions.create(owner, [day + 1])
  await rollupPartitions.create(owner, [day + 1, day + 2])
  expect((await minuteOver(noon + dayMicros + 120_000_000)).filter((text) => text.includes('cannot be written'))).toEqual([])
  writer.add(loggedRow(noon + dayMicros, { predictionId: 'r/2' }))
  await writer.write()
  expect(writer.warnings().filter((text) => text.includes('refuses'))).toEqual([])
  await recorder.close(60_000)
})
