import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { controlRollouts, look } from '../../../monitoring/rollouts/controller.ts'
import { hasPlan } from '../../../monitoring/rollouts/gate-evidence.ts'
import { createRolloutCounts, readCounts } from '../../../monitoring/rollouts/rollout-counts.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { promoteModel } from '../../../registry/models/promote.ts'
import { abortRollout, changeShare, pauseRollout, startRollout } from '../../../registry/rollouts/change-rollout.ts'
import type { ControllerAction } from '../../../registry/rollouts/decisions.ts'
import { controllerActor } from '../../../registry/rollouts/decisions.ts'
import { readRolloutHistory } from '../../../registry/rollouts/rollout-history.ts'
import type { FaultPoint } from '../../../runtime/fault-point.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { createLogger } from '../../../runtime/log.ts'
import { unitPlace } from '../../../statistics/assign.ts'
import { programFile } from '../../cli/run-lockstep.ts'
import { bareEnvironment } from '../../bare-environment.ts'
import { budget } from '../../budget.ts'
import { until } from '../../serving/gate.ts'
import type { World } from '../../serving/world.ts'
import { ask, createWorld } from '../../serving/world.ts'

let world: World
let url = ''
const clock = () => Date.now() * 1000
beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('A1', now() - interval '1 minute', 0.5)`)
  await world.materialize('airport_delays', clock())
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
  const served = await world.serve({ clock })
  await served.server.whenReady()
  url = served.url
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await world?.close()
})
const children: ChildProcess[] = []

const by = { actor: 'test' }
const [soon, never] = [{ atLeast: '1ms', samples: 0 }, { atLeast: '1h' }]
const actions = {
  advance: {
    steps: [
      { share: 0.3, ...soon },
      { share: 0.7, ...never },
    ],
    after: { state: 'running', step: 1, share: 0.7 },
  },
  promote: { steps: [{ share: 0.3, ...soon }], after: { state: 'promoted' } },
  'roll back': { steps: [{ share: 0.3, ...never }], after: { state: 'rolled back' } },
} as const satisfies Partial<Record<ControllerAction, object>>

const few: readonly (readonly [keyof typeof actions, FaultPoint])[] = [
  ['advance', 'rollout: to be committed'],
  ['promote', 'rollout: to be committed'],
  ['roll back', 'rollout: committed'],
]
const points: readonly FaultPoint[] = [
  'rollout: due',
  'rollout: evidence gathered',
  'rollout: decided',
  'rollout: to be committed',
  'rollout: committed',
]
const all = (Object.keys(actions) as (keyof typeof actions)[]).flatMap((action) => points.map((point) => [action, point] as const))

const airports = Array.from({ length: 40 }, (_, i) => `A${i}`)
const entities = airports.map((airport) => ({ airport, distance: 1 }))

/** Which version each airport gets. */
async function answered(of: string): Promise<number[]> {
  const { status, body } = await ask(of, '/v1/predict', { model: 'delay', entities })
  expect(status).toBe(200)
  const { version, servedBy = [] } = body as unknown as { version: number; servedBy?: { version: number; rows: number[] }[] }
  const versions = airports.map(() => version)
  for (const group of servedBy) for (const row of group.rows) versions[row] = group.version
  return versions
}

/** Which it must get by what is stored. */
async function stored(): Promise<number[]> {
  const { rollout } = await readRolloutHistory(world.db.kysely, 'delay')
  const champion = (await loadCatalog(world.db)).model('delay').aliases.get('champion')?.version ?? 0
  const has = (airport: string) => rollout?.state === 'running' && unitPlace(rollout.salt, airport) < rollout.share
  return airports.map((airport) => (has(airport) ? (rollout?.version ?? 0) : champion))
}

const answersAsStored = async () => (await answered(url)).join() === (await stored()).join()

/** How often the controller did it, by its decisions and by the audit log. */
async function counts(rollout: number, action: string) {
  const [row] = await world.db.query<{ decisions: number; audited: number }>(
    `SELECT (SELECT count(*)::int FROM lockstep.rollout_decisions WHERE rollout = $1 AND action = $2 AND decided_by = $3) AS decisions,
            (SELECT count(*)::int FROM lockstep.audit_log WHERE actor = $3 AND action LIKE 'rollout.%') AS audited`,
    [rollout, action, controllerActor],
  )
  return { decisions: row?.decisions ?? 0, audited: row?.audited ?? 0 }
}

let minutesAhead = 0

it.each(budget(100) >= 100 ? all : few)('a controller that decides to %s and is killed at "%s" does it once', async (action, point) => {
  await promoteModel(world.db, 'delay', 1, by, undefined, { atOnce: true }).catch(() => undefined)
  const { steps, after } = actions[action]
  const { rollout } = await startRollout(world.db, 'delay', { version: 2, plan: { steps, gates: [] }, unit: 'airport' }, by)
  await until(answersAsStored)
  const audited = (await counts(rollout.id, action)).audited
  if (action === 'roll back') {
    const catalog = await loadCatalog(world.db)
    const server = createRolloutCounts({ catalog: () => catalog, database: () => world.db, log: createLogger('silent') })
    server.bypassBegan('delay', 2)
    await server.close()
  }
  // the schedule has a moment in each minute
  minutesAhead += 2
  const child = spawn(
    process.execPath,
    [programFile('test/monitoring/rollouts/controller-process'), world.postgresUrl, point, String(minutesAhead)],
    {
      env: bareEnvironment,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
  const isDone = point === 'rollout: committed'
  const { rollout: left } = await readRolloutHistory(world.db.kysely, 'delay')
  expect(left).toMatchObject(isDone ? after : { state: 'running', step: 0, share: 0.3, revision: rollout.revision })
  expect(await counts(rollout.id, action)).toEqual({ decisions: Number(isDone), audited: audited + Number(isDone) })
  await until(answersAsStored)

  // as if its lease had run out
  await world.db.query(`UPDATE lockstep.job_chunks SET claimable_at = clock_timestamp() WHERE state = 'open'`)
  const stop = new AbortController()
  let looks = 0
  const deps = {
    db: world.db,
    store: async () => null,
    catalog: async () => {
      looks++
      return await loadCatalog(world.db)
    },
    readSecret: () => null,
    allowPrivate: true,
    clock,
  }
  const working = workOnJobs(world.db, {
    kinds: [controlRollouts(deps)],
    worker: 'next',
    signal: stop.signal,
    idleMs: 200,
    clock: () => clock() + (minutesAhead + 1) * 60_000_000,
  })
  try {
    await until(async () => (await counts(rollout.id, action)).decisions === 1 && looks > 1)
    await until(answersAsStored)
  } finally {
    stop.abort()
    await working
  }
  const { rollout: ended } = await readRolloutHistory(world.db.kysely, 'delay')
  expect(ended).toMatchObject({ ...after, revision: rollout.revision + 1 })
  expect(await counts(rollout.id, action)).toEqual({ decisions: 1, audited: audited + 1 })
  if (action === 'advance') await abortRollout(world.db, 'delay', by)
})

it('a controller whose clock is an hour ahead does not end a step early', async () => {
  await promoteModel(world.db, 'delay', 1, by, undefined, { atOnce: true })
  const plan = { steps: [{ share: 0.3, atLeast: '30m', samples: 0 }, { share: 1 }], gates: [] }
  const { rollout } = await startRollout(world.db, 'delay', { version: 2, plan, unit: 'airport' }, by)
  const deps = { db: world.db, store: async () => null, catalog: () => loadCatalog(world.db), readSecret: () => null, allowPrivate: true }
  if (!hasPlan(rollout)) throw new Error('The rollout has no plan.')
  const ahead = () => clock() + 3_600_000_000
  const { action, reasons } = await look({ ...deps, clock: ahead }, rollout, new AbortController().signal)
  expect([action, ...reasons]).toEqual(['not enough evidence', expect.stringMatching(/^The step lasts at least 30 min; /)])
  await abortRollout(world.db, 'delay', by)
})

const changing: readonly FaultPoint[] = ['registry: changed', 'registry: read', 'registry: models loaded', 'registry: in force']

it('a server that is killed at any step of a change routes as stored from its first answer on', async () => {
  const startServer = async () => {
    const args = [programFile('test/monitoring/rollouts/server-process'), world.postgresUrl, world.redis.url, world.redis.prefix]
    const child = spawn(process.execPath, args, { env: bareEnvironment, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    children.push(child)
    const [readyAt] = (await once(child, 'message')) as [string]
    return { child, readyAt }
  }
  const killAt = async ({ child }: { readonly child: ChildProcess }, point: FaultPoint, change: () => Promise<unknown>) => {
    const [armed, exited] = [once(child, 'message'), once(child, 'exit')]
    child.send(point)
    await armed
    await change()
    expect([point, ...(await exited)]).toEqual([point, null, 'SIGKILL'])
  }
  await promoteModel(world.db, 'delay', 1, by, undefined, { atOnce: true })
  const plan = { steps: [{ share: 0.3, ...never }], gates: [] }
  const { rollout } = await startRollout(world.db, 'delay', { version: 2, plan, unit: 'airport' }, by)
  let server = await startServer()
  // it writes its counts, and dies before it knows: what it answered counts once
  const expected = await stored()
  const { readyAt } = server
  await killAt(server, 'rollout: counts written', async () => expect(await answered(readyAt)).toEqual(expected))
  await pauseRollout(world.db, 'delay', by)
  const { candidate, champion } = await readCounts(world.db, rollout.id, rollout.revision + 1, 'before')
  expect(candidate.rows + champion.rows).toBe(airports.length)

  const shares = [0.6, 0.2, 0.8, 0.4]
  const points = budget(100) >= 100 ? changing : [changing[Math.floor(Math.random() * changing.length)] as FaultPoint]
  for (const [i, point] of points.entries()) {
    server = await startServer()
    expect(await answered(server.readyAt)).toEqual(await stored())
    await killAt(server, point, () => changeShare(world.db, 'delay', shares[i] as number, by))
    await until(answersAsStored)
  }
  server = await startServer()
  expect(await answered(server.readyAt)).toEqual(await stored())
  server.child.kill('SIGKILL')
  await once(server.child, 'exit')
  await abortRollout(world.db, 'delay', by)
})
