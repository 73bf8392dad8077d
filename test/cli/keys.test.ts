import { afterAll, beforeAll, expect, it } from 'vitest'
import { testDatabase } from '../services/index.ts'
import { must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

let env: Environment
let drop: () => Promise<void>

beforeAll(async () => {
  const database = await testDatabase()
  env = { LOCKSTEP_POSTGRES_URL: database.url }
  drop = () => database.drop()
})
afterAll(async () => {
  killAll()
  await drop?.()
})

it('keys expire by the clock of the database, whatever that of the machine is', async () => {
  await must(env, 'keys', 'create', '--scope', 'read', '--name', 'reader', '--expires', '1d')
  const ahead = 'data:text/javascript,Date.now=((now)=>()=>now()+172800000)(Date.now)'
  const listed = await start({ ...env, NODE_OPTIONS: `--import=${ahead}` }, 'keys', 'list', '--json').ended
  expect(listed).toMatchObject({ err: '', code: 0, json: { keys: [{ name: 'reader', state: 'valid' }] } })
  const short = await must(env, 'keys', 'create', '--scope', 'read', '--name', 'short', '--expires', '1s')
  await expect
    .poll(async () => (await must(env, 'keys', 'list')) as unknown, { timeout: 60_000 })
    .toMatchObject({ keys: [{ id: short.id, state: 'expired' }, { state: 'valid' }] })
})
