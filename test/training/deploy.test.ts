import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { inspectModel } from '../../inference/inspect-model.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { pushModel } from '../../registry/models/models.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { abortRollout } from '../../registry/rollouts/change-rollout.ts'
import { beginTraining } from '../../registry/trainings/begin-run.ts'
import type { TrainingResult } from '../../registry/trainings/training-run.ts'
import { retryJob } from '../../runtime/jobs/end-job.ts'
import { deployVersion } from '../../training/deploy-version.ts'
import type { TrainingJob } from '../../training/training-job.ts'
import { constantModel } from '../inference/made-models.ts'
import type { TrainingWorld } from './training-world.ts'
import { createTrainingWorld, daily, instant } from './training-world.ts'

// Rollouts that trainings start.

const by = { actor: 'ada' }
let world: TrainingWorld
beforeAll(async () => {
  world = await createTrainingWorld()
  await mkdir(world.folder)
  await world.install('train', `echo again >> '${world.folder}/ran'; cat '${world.folder}/model' > "$3"`)
  await world.declare({ ...daily, schedule: null, deploy: { rollout: 'default' } })
})
afterAll(async () => await world?.close())

let runs = 0
/** Trains a version that answers the number. */
async function run(answer: number) {
  await writeFile(join(world.folder, 'model'), constantModel(answer))
  const catalog = await loadCatalog(world.db)
  await beginTraining({ db: world.db, catalog, worker: 'test', by }, 'daily', instant + ++runs)
  return await world.workUntil(() => world.ended('daily'))
}
const ran = async () => (await readFile(join(world.folder, 'ran'), 'utf8')).split('\n').length - 1
const rollout = async () => (await loadCatalog(world.db)).model('delay').rollout

it('a rollout needs a champion, and says so', async () => {
  const first = await run(0.1)
  expect(first).toMatchObject({
    outcome: 'registered',
    version: 1,
    deployed: 'started no rollout, as delay has no champion to compare with: lockstep model promote delay@1',
  })
  await promoteModel(world.db, 'delay', 1, by)
  expect(await run(0.1)).toMatchObject({ known: true, deployed: 'version 1 is the champion, so nothing rolls out' })
  expect(await rollout()).toBeNull()
})

it('a rollout is started by its plan', async () => {
  const second = await run(0.2)
  expect(second).toMatchObject({ version: 2, deployed: 'started a rollout of version 2 by the plan default' })
  expect(await rollout()).toMatchObject({ version: 2, share: 0.01, step: 0, startedBy: `training daily, job ${second.job}` })
})

it('a run fails while another rollout runs, keeps its version, and a retry starts it without training', async () => {
  const failed = await run(0.3)
  expect(failed).toMatchObject({ state: 'failed', outcome: 'registered', version: 3, deployed: null, error: { code: 'IN_USE' } })
  await abortRollout(world.db, 'delay', by)
  const before = await ran()
  await retryJob(world.db, failed.job, by)
  const retried = await world.workUntil(() => world.ended('daily'))
  expect(retried).toMatchObject({
    job: failed.job,
    state: 'done',
    version: 3,
    dataset: failed.dataset,
    metrics: failed.metrics,
    rows: failed.rows,
    deployed: 'started a rollout of version 3 by the plan default',
  })
  expect(await ran()).toBe(before)
  expect(await rollout()).toMatchObject({ version: 3 })
})

it('a rollout is started by a plan of the training itself', async () => {
  await abortRollout(world.db, 'delay', by)
  const plan = { steps: [{ share: 0.05 }, { share: 1 }], gates: [{ kind: 'errors', margin: 0.005 }] }
  await world.declare({ ...daily, schedule: null, deploy: { rollout: plan } })
  const { version, deployed } = await run(0.4)
  expect(deployed).toBe(`started a rollout of version ${version} by the training's own plan`)
  expect(await rollout()).toMatchObject({
    version,
    share: 0.05,
    plan: { steps: [{ share: 0.05, atLeast: '10m' }, { share: 1 }], gates: [{ kind: 'errors', margin: 0.005 }], every: '10s' },
  })
})

it.each([
  [{ steps: [{ share: 0.5 }, { share: 0.1 }] }, 'Step 2 of the plan has the share 0.1, which is not above the 0.5'],
  [{ steps: [{ share: 1, atleast: '1h' }] }, '"steps.0" has the field "atleast"'],
  [{ steps: [{ share: 1 }], gates: [{ kind: 'quality' }] }, 'The gate "quality" needs an outcome of the model "delay", which has none'],
  [
    { steps: [{ share: 1 }], gates: [{ kind: 'webhook', name: 'board', url: 'http://10.0.0.1/', secret: { env: 'S' } }] },
    'a private address',
  ],
])('a plan that could start no rollout is refused when it is applied: %j', async (plan, message) => {
  await expect(world.declare({ ...daily, name: 'refused', deploy: { rollout: plan } })).rejects.toMatchObject({
    code: 'DEFINITIONS_INVALID',
    message: expect.stringMatching(/^The training "refused" deploys by a rollout plan that is refused\. /) as string,
  })
  await expect(world.declare({ ...daily, name: 'refused', deploy: { rollout: plan } })).rejects.toThrow(message)
})

it('a push is not stored twice where an earlier attempt has stored another file', async () => {
  const [first, second] = [constantModel(0.71), constantModel(0.72)]
  const push = async (bytes: Buffer) =>
    await pushModel(world.db, {
      model: 'delay',
      bytes,
      contract: await inspectModel(bytes),
      metadata: { attempt: 'same' },
      isEarlier: ({ metadata }) => metadata['attempt'] === 'same',
    })
  const { version } = await push(first)
  expect(await push(second)).toMatchObject({ created: false, version: { version: version.version, sha256: version.sha256 } })
})

it('a version is not promoted again after somebody has gone back to another one', async () => {
  await abortRollout(world.db, 'delay', by)
  const job = { id: 99, subject: 'daily', spec: { training: { ...daily, deploy: 'promote' } } } as TrainingJob
  const promote = async () =>
    await deployVersion({ db: world.db, allowPrivate: false }, job, { version: 2 } as TrainingResult, new AbortController().signal)
  const champion = async () => (await loadCatalog(world.db)).model('delay').aliases.get('champion')?.version
  expect(await promote()).toBe('promoted version 2 to champion')
  expect(await champion()).toBe(2)
  await promoteModel(world.db, 'delay', 1, by)
  await promote()
  expect(await champion()).toBe(1)
})
