import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKey, keysRevision } from '../../registry/keys/api-keys.ts'
import { catalogRevision } from '../../registry/revision.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
})
afterAll(() => world?.close())

it('a server reads a restored registry and its keys again, even if their revisions are the same', async () => {
  const { db } = world
  const made = await createKey(db, { name: 'lost', scopes: ['predict'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null })
  const { url, server } = await world.serve()
  await server.whenReady()
  const predict = () =>
    ask(url, '/v1/predict', { model: 'delay', entities: [{ airport: 'ATL', distance: 100 }] }, { authorization: `Bearer ${made.text}` })
  expect(await predict()).toMatchObject({ status: 200, body: { version: 2 } })
  const revisions = async () => [await catalogRevision(db), await keysRevision(db)]
  const before = await revisions()
  // as in a backup from before, after which somebody made as many changes
  await db.query(`insert into lockstep.model_aliases (alias, former, model, version) values ('champion', '[]', 'delay', 1)`)
  const restored = () =>
    db.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'`)
  await restored()
  await until(async () => (await predict()).body.version === 1)
  await db.query(`update lockstep.api_keys set revoked_at = now() where id = $1`, [made.key.id])
  await restored()
  await until(async () => (await predict()).status === 401)
  expect(await revisions()).toEqual(before)
})
