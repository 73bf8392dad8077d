import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { loadCatalog } from '../../registry/catalog.ts'
import { listModelEvents } from '../../registry/models/model-events.ts'
import { listModelVersions } from '../../registry/models/model-versions.ts'
import { beginTraining } from '../../registry/trainings/begin-run.ts'
import type { FaultPoint } from '../../runtime/fault-point.ts'
import { bareEnvironment } from '../bare-environment.ts'
import { programFile } from '../cli/run-lockstep.ts'
import type { TrainingWorld } from './training-world.ts'
import { createTrainingWorld, daily, fitting, instant } from './training-world.ts'

// Runs whose workers are killed. Each run has one version, of one training set, although its trainer writes another
// file each time.

const wait = { timeout: 60_000 }
let world: TrainingWorld
const children = new Set<ChildProcess>()
beforeAll(async () => {
  world = await createTrainingWorld()
  await world.install(
    'train',
    `echo again >> '${world.folder}/ran'; cat '${fitting}' > "$3"; printf '\\022\\010%s' "$(od -An -N4 -tx1 /dev/urandom | tr -d ' ')" >> "$3"`,
  )
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await world?.close()
})

async function begin(name: string): Promise<number> {
  await world.declare({ ...daily, name, schedule: null, deploy: 'promote' })
  const beginner = { db: world.db, catalog: await loadCatalog(world.db), worker: 'test', by: { actor: 'ada' } }
  const { job } = await beginTraining(beginner, name, instant)
  // so that the next worker waits for a second, and not for half a minute
  await world.db.query('update lockstep.jobs set lease_seconds = 1 where id = $1', [job.id])
  return job.id
}

function hire(...point: readonly FaultPoint[]): ChildProcess {
  const words = [world.postgresUrl, world.trainers, world.folder, ...point]
  const child = spawn(process.execPath, [programFile('test/training/training-process'), ...words], {
    env: bareEnvironment,
    stdio: 'inherit',
  })
  children.add(child)
  return child
}

/** How often trainers ran. */
const ran = async () => (await readFile(join(world.folder, 'ran'), 'utf8').catch(() => '')).split('\n').length - 1

it.each<readonly [FaultPoint, number]>([
  ['training: set written', 1],
  ['training: model kept', 1],
  ['training: version registered', 1],
  ['job: chunk written down', 1],
  ['training: version promoted', 1],
])('a run whose worker is killed at "%s" gets one version, which is promoted once', async (point, trained) => {
  const name = point.replaceAll(/\W+/g, '_')
  const [versions, before] = [await listModelVersions(world.db, 'delay'), await ran()]
  const job = await begin(name)
  const [, signal]: readonly unknown[] = await once(hire(point), 'exit')
  expect(signal).toBe('SIGKILL')
  const made = await world.workUntil(() => world.ended(name))
  expect(made).toMatchObject({
    job,
    outcome: 'registered',
    version: versions.length + 1,
    deployed: `promoted version ${versions.length + 1} to champion`,
  })
  const after = await listModelVersions(world.db, 'delay')
  expect(after.slice(versions.length)).toMatchObject([{ dataset: made.dataset, pushedBy: `training ${name}, job ${job}` }])
  expect(await readdir(join(world.folder, name))).toEqual([made.dataset])
  expect(await readdir(join(world.folder, name, made.dataset ?? ''))).toHaveLength(3)
  const promoted = (await listModelEvents(world.db, 'delay')).filter((event) => event.action === 'promote' && event.to === made.version)
  expect(promoted).toHaveLength(1)
  expect(await ran()).toBe(before + trained)
})

it('no trainer outlives its worker, and another worker trains again', async () => {
  const said = join(world.folder, 'pids')
  await world.install('train', `trap '' TERM; sleep 600 & echo "$$ $!" > '${said}.new'; mv '${said}.new' '${said}'; wait`)
  await begin('outlived')
  const child = hire()
  const pids = await vi.waitFor(async () => await readFile(said, 'utf8'), wait)
  child.kill('SIGKILL')
  for (const pid of pids.trim().split(' ')) await vi.waitFor(() => expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH'), wait)
  await world.install('train', `cat '${fitting}' > "$3"`)
  const made = await world.workUntil(() => world.ended('outlived'))
  expect(made).toMatchObject({ outcome: 'registered' })
  const left = await readdir(join(world.folder, 'outlived', made.dataset ?? ''))
  expect(left.filter((name) => name.startsWith('work'))).toEqual([])
})

it('a worker that has to end returns its run, with the trainer ended', async () => {
  const said = join(world.folder, 'pid')
  await world.install('train', `echo "$$" > '${said}.new'; mv '${said}.new' '${said}'; sleep 600`)
  const job = await begin('returned')
  const pid = await world.workUntil(() => readFile(said, 'utf8').catch(() => null))
  expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
  const [step] = await world.db.query<{ claim: string | null; attempts: number }>(
    `select claim, attempts from lockstep.job_chunks where job = $1 and step = 'chunk'`,
    [job],
  )
  expect(step).toEqual({ claim: null, attempts: 0 })
})
