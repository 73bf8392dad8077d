import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { programFile } from '../../cli/run-lockstep.ts'
import type { World } from '../world.ts'
import { ask, createWorld } from '../world.ts'

/** A process of its own holds the other ends, for each may have so many files open. */
const filesAtMost = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
const connections = Math.min(2_000, filesAtMost === 'unlimited' ? Number.POSITIVE_INFINITY : Number(filesAtMost) - 500)

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
})
afterAll(() => world?.close())

it(`answers beside ${connections} idle connections, and each of those on request`, async () => {
  expect(connections).toBeGreaterThan(500)
  const { url, server } = await world.serve()
  await server.whenReady()
  const child = spawn(process.execPath, [programFile('test/serving/traffic/idle-clients-child'), new URL(url).port, String(connections)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  expect((await lines.next()).value).toBe(`open ${connections}`)
  for (let i = 0; i < 20; i++) {
    const answer = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] })
    expect(answer.status).toBe(200)
  }
  child.stdin.write('again\n')
  expect((await lines.next()).value).toBe(`answered ${connections}`)
  await once(child, 'exit')
  expect((await ask(url, '/livez')).status).toBe(200)
  await server.close()
})
