import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sql } from 'kysely'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { createAdmission } from '../../../serving/traffic/admission.ts'
import { createPlace } from '../../../serving/traffic/place.ts'
import { until } from '../gate.ts'
import type { World } from '../world.ts'
import { ask, createWorld } from '../world.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
  await world.push('echo', 'identity')
})
afterAll(() => world?.close())

const entities = [{ airport: 'ATL', distance: 1 }]
const past = '2001-07-01T11:00:00Z'

describe('requests that wait for reads of the history', () => {
  it('keep no other request out, and are answered once the reads are', async () => {
    const { url, server, registry } = await world.serve({ config: { bodyLimitBytes: 100_000, maxInFlight: 8 } })
    await server.whenReady()
    const inFlight = async (): Promise<number> =>
      (await registry.getSingleMetric('lockstep_in_flight_requests')?.get())?.values[0]?.value ?? Number.NaN
    const locker = openPostgres(world.postgresUrl)
    const slow: ReturnType<typeof ask>[] = []
    await locker.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep_source.landings in access exclusive mode`.execute(transaction)
      for (let i = 0; i < 6; i++) {
        slow.push(ask(url, '/v1/features', { service: 'flight', entities, asOf: past }))
        slow.push(ask(url, '/v1/predict', { model: 'echo', entities, asOf: past }))
      }
      // a client that does not wait for its turn
      const impatient = await ask(url, '/v1/features', { service: 'flight', entities, asOf: past }, { 'x-request-timeout-ms': '1000' })
      expect(impatient.body.error?.code).toBe('DEADLINE_EXCEEDED')
      // four reads run
      await until(async () => (await inFlight()) <= 4)
      for (let i = 0; i < 20; i++) expect((await ask(url, '/v1/predict', { model: 'echo', entities })).status).toBe(200)
      expect(await inFlight()).toBeLessThanOrEqual(4)
    })
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual(slow.map(() => 200))
    await until(async () => (await inFlight()) === 0)
    await locker.close()
    await server.close()
  })

  it('take their place again, but not after they have ended', () => {
    const admission = createAdmission({ max: 1, now: () => 0, busy: () => 0 })
    const entered: string[] = []
    const enter = (name: string) => admission.enter({ run: () => void entered.push(name), refuse: () => undefined, deadline: undefined })
    enter('first')
    const first = createPlace(admission)
    enter('second')
    expect(entered).toEqual(['first'])
    first.giveBack()
    first.giveBack()
    expect([...entered, admission.inFlight]).toEqual(['first', 'second', 1])
    first.takeBack()
    first.takeBack()
    expect(admission.inFlight).toBe(2)
    first.giveBack()
    first.leave()
    first.takeBack()
    first.leave()
    expect(admission.inFlight).toBe(1)
    admission.leave()
    expect(admission.inFlight).toBe(0)
    admission.close()
  })
})
