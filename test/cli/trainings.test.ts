import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { beginRun, day, endRun, made, trainingSet } from '../serving/training-runs.ts'
import type { World } from '../serving/world.ts'
import { createWorld, noon } from '../serving/world.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'

let world: World
let env: Environment
let server: readonly string[]

beforeAll(async () => {
  world = await createWorld('embedded', trainingSet)
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await endRun(world.db, await beginRun(world.db, noon - 7 * day), noon - 6 * day, { result: made('refused', 0.7) })
  const served = await world.serve()
  await served.server.whenReady()
  env = { LOCKSTEP_POSTGRES_URL: world.postgresUrl }
  server = ['--server', served.url]
})
afterAll(() => world?.close())

describe('the training commands through a server', () => {
  it.each([
    ['list', []],
    ['show', ['weekly']],
    ['show', ['asked', '--limit', '1']],
  ])('%s the same as without: %j', async (verb, words) => {
    const here = await lockstep(env, 'training', verb, ...words)
    expect(here.code).toBe(0)
    expect(await lockstep(env, 'training', verb, ...words, ...server)).toEqual(here)
    expect(await must(env, 'training', verb, ...words, ...server)).toEqual(await must(env, 'training', verb, ...words))
  })

  it('run a training: begin it, join it, and end with the code of a refused version', async () => {
    const run = ['training', 'run', 'asked', '--at', '2001-07-01T11:00:00Z', ...server]
    const begun = (await must(env, ...run, '--detach', '--reason', 'new labels')) as unknown as { readonly job: number }
    expect(begun).toMatchObject({ training: 'asked', state: 'waiting', at: '2001-07-01T11:00:00Z', joined: false })
    expect(await must(env, ...run, '--detach')).toMatchObject({ joined: true, job: begun.job })
    await endRun(world.db, begun.job, noon, { result: made('refused', 0.7) })
    const refused = await lockstep(env, ...run, '--if-refused', '99')
    expect([refused.code, refused.out]).toEqual([99, expect.stringContaining('NOT met: auc is 0.7.')])
    expect((await lockstep(env, ...run)).code).toBe(1)
  })

  it('wait for the end of a run that they have begun', async () => {
    const run = lockstep(env, 'training', 'run', 'asked', '--at', '2001-07-01T11:30:00Z', '--if-refused', '99', ...server)
    const job = await vi.waitFor(
      async () => {
        const [found] = await world.db.query<{ id: number }>(
          `select id::int from lockstep.jobs where state = 'running' and kind = 'training'`,
        )
        if (found === undefined) throw new Error('The run has not begun.')
        return found.id
      },
      { timeout: 60_000 },
    )
    await endRun(world.db, job, noon, { result: made('refused', 0.7) })
    const { code, out } = await run
    expect([code, out]).toEqual([99, expect.stringContaining('NOT met: auc is 0.7.')])
  })

  it('say what the server refuses', async () => {
    const unknown = await lockstep(env, 'training', 'show', 'weekli', ...server)
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('Did you mean "weekly"?')])
    const future = await lockstep(env, 'training', 'run', 'asked', '--at', '2200-01-01T00:00:00Z', ...server)
    expect([future.code, future.err]).toEqual([1, expect.stringContaining('INVALID_TIME')])
  })
})
