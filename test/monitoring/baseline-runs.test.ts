import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import type { BaselineJobDeps } from '../../monitoring/baselines/baseline-job.ts'
import { baselines, makeLackingBaselines } from '../../monitoring/baselines/baseline-job.ts'
import { baselineOf, datasetBaseline } from '../../monitoring/baselines/baseline.ts'
import { datasetSides } from '../../monitoring/drift/baseline-sides.ts'
import { entityRows, profileColumn } from '../../offline/profile/column-profile.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { pushModel } from '../../registry/models/models.ts'
import { loadConfig } from '../../runtime/config.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import { createLogger } from '../../runtime/log.ts'
import { endlessModel, failingModel, quantizedModel } from '../inference/made-models.ts'
import { hiredWorkers } from '../runtime/jobs/hired-workers.ts'
import { servingSet, withRunTimeout } from '../serving/definitions.ts'
import { until } from '../serving/gate.ts'
import type { World } from '../serving/world.ts'
import { ask, createWorld } from '../serving/world.ts'

const airports = Array.from({ length: 60 }, (_, n) => `A${n}`)
const log = createLogger('silent')
let folder: string
let world: World
let context: Context

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-baseline-runs-'))
  world = await createWorld('embedded')
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: world.postgresUrl, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  context = createContext(config, createTerminal(true), new AbortController().signal)
  // the model that takes the pressure for a number of rounds never ends at airport B
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay) values ('B', '2001-07-01 11:00Z', 4e18);
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n, timestamptz '2001-07-01 11:00Z', n * n / 7.0 from generate_series(0, 59) n;
    create table spine as select airport, timestamptz '2001-07-01 12:00Z' as at, 2.0 as distance from lockstep_source.landings`)
  await world.materialize('airport_delays')
})
afterAll(async () => {
  await context?.close()
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

const deps = () => ({ db: world.db, catalog: () => loadCatalog(world.db), log, onFailure: () => undefined })
/** Jobs run only when they are submitted, and not beside those of the schedule. */
const unscheduled = (change: Partial<BaselineJobDeps> = {}): JobKind => ({
  ...baselines({ ...deps(), ...change }),
  schedules: () => Promise.resolve([]),
})
const { hire, ended } = hiredWorkers(() => world.db)
const submit = async (kind: JobKind): Promise<number> =>
  (await submitJob(world.db, kind, { subject: 'baselines', worker: 'test', spec: {} }))?.id ?? expect.unreachable()

/** Pushes a model that was trained on these rows of the spine. @returns its version */
async function pushTrained(model: string, bytes: Buffer, where: string): Promise<number> {
  const out = join(folder, `${model}-${Math.random()}.csv`)
  const create = await prepare(['dataset', 'create', 'flight', '--spine', `select * from spine where ${where}`, '--out', out])
  const { id: dataset } = (await create(context)).json as { readonly id: string }
  return (await pushModel(world.db, { model, bytes, contract: await inspectModel(bytes), dataset })).version.version
}

/** The clock ticks that each model process of this one has computed for. */
async function modelProcesses(): Promise<readonly number[]> {
  const children = (await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')).split(' ').filter(Boolean)
  const ticks = children.map(async (pid) => {
    const [command, stat] = await Promise.all([readFile(`/proc/${pid}/cmdline`, 'utf8'), readFile(`/proc/${pid}/stat`, 'utf8')])
    return command.includes('model-process-child') ? [Number(stat.slice(stat.lastIndexOf(')')).split(' ')[12])] : []
  })
  return (await Promise.allSettled(ticks)).flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
}

it('counts the features of each view by entities of its own in the baseline of a training set', async () => {
  const spine = `select airport, 'A' || (length(airport) + ascii(right(airport, 1)) % 3) as destination, at from spine where airport <> 'B'`
  const create = await prepare(['dataset', 'create', 'route', '--spine', spine, '--out', join(folder, 'routes.csv')])
  const { id } = (await create(context)).json as { readonly id: string }
  const made = await datasetBaseline(world.db, id)
  const columns = [...(made?.columns.values() ?? [])]
  const { sides } = await datasetSides(world.db, await loadCatalog(world.db), id, columns)
  expect(made).toMatchObject({ rows: 60, entities: 60 })
  expect(columns.map(({ name, sums }) => [name, sums.entities, sides.get(name)?.sums.entities])).toEqual([
    ['lastDelay', 60, 60],
    ['landed1h', 60, 60],
    ['destination__lastDelay', 4, 4],
    ['destination__landed1h', 4, 4],
  ])
})

describe('a baseline of outputs', () => {
  it('is of the served values if rows of a run depend on each other', async () => {
    const version = await pushTrained('delay', quantizedModel(), `airport <> 'B'`)
    expect(await makeLackingBaselines(deps())).toBe(1)
    const made = (await baselineOf(world.db, 'delay', version))?.columns.get('output:probabilities')
    const { server, url } = await world.serve()
    await server.whenReady()
    const entities = airports.map((airport) => ({ airport, distance: 2 }))
    const { body } = await ask(url, '/v1/predict', { model: 'delay', entities })
    await server.close()
    const served = body.predictions.map((prediction) => Math.fround(Number(prediction.probabilities)))
    const column = { name: 'output:probabilities', type: { kind: 'float32' } } as const
    expect(made).toMatchObject(profileColumn(column, served, entityRows(airports)))
  })

  it('is missing if the model refuses a row, which fails no job', async () => {
    const version = await pushTrained('delay', failingModel(), 'true')
    const failures: unknown[] = []
    const onFailure = (what: string, _: string, cause: unknown) => void failures.push([what, cause])
    const kind = unscheduled({ onFailure })
    hire([kind])
    expect(await ended(await submit(kind))).toMatchObject({ state: 'done', error: null })
    const message: unknown = expect.stringMatching(/ out of data bounds, [^.]*\. Push a version that does\.$/)
    expect(failures).toEqual([[`delay@${version}`, expect.objectContaining({ code: 'MODEL_FAILED', message })]])
    expect(await baselineOf(world.db, 'delay', version)).not.toMatchObject({ origins: [{}, {}] })
  })

  it('fails its job if a run never ends, and the worker goes on', async () => {
    await applyChanges(world.db, withRunTimeout(servingSet, 500_000))
    const version = await pushTrained('echo', endlessModel(), 'true')
    const kind = unscheduled()
    const worker = hire([kind])
    expect(await ended(await submit(kind))).toMatchObject({
      state: 'failed',
      error: {
        code: 'MODEL_TIMEOUT',
        message: expect.stringMatching(
          new RegExp(`"echo@${version}" .*Raise the "timeout".* Push a version .*"lockstep baseline create echo@${version}"`),
        ),
      },
    })
    await until(async () => (await modelProcesses()).length === 0)
    const create = await prepare(['baseline', 'create', `echo@${version}`])
    await expect(create(context)).rejects.toMatchObject({ code: 'MODEL_TIMEOUT' })
    await until(async () => (await modelProcesses()).length === 0)
    // this version is not tried again
    expect(await ended(await submit(kind))).toMatchObject({ state: 'done', result: null })
    expect(worker.events.filter(({ type }) => type === 'done')).not.toEqual([])
    expect(await baselineOf(world.db, 'echo', version)).not.toMatchObject({ origins: [{}, {}] })
  })

  it('ends the processes of its job if the job is cancelled', async () => {
    await applyChanges(world.db, withRunTimeout(servingSet, 600_000_000))
    const logged: string[] = []
    const recorded = createLogger('error', { write: (line) => void logged.push(line) })
    const kind = unscheduled({ log: recorded })
    hire([kind])
    const id = await submit(kind)
    // no trial takes so long
    await until(async () => (await modelProcesses()).some((ticks) => ticks > 200))
    await cancelJob(world.db, id, { actor: 'test', reason: undefined, requestId: undefined })
    expect(await ended(id)).toMatchObject({ state: 'cancelled' })
    await until(async () => (await modelProcesses()).length === 0)
    // the job ended them, so it is no failure of the model
    expect(logged).toEqual([])
  })
})
