import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspectModel } from '../../inference/inspect-model.ts'
import { pushModel } from '../../registry/models.ts'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import { readRolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import type { Database } from '../../runtime/database.ts'
import { floats, makeOnnx } from '../../test/inference/make-onnx.ts'
import { perceptron } from '../serving/perceptron.ts'
import { width } from '../serving/set-up.ts'
import { startServer } from './start-server.ts'

interface RolledBack {
  readonly db: Database
  readonly env: NodeJS.ProcessEnv
  readonly key: string
  readonly customers: number
}

const gates = {
  errors: { kind: 'errors', margin: 0.05, samples: 50 },
  latency: { kind: 'latency', quantile: 0.5, factor: 1.5, atLeast: '1ms', samples: 50, optional: true },
}
const stays = [{ share: 0.5, atLeast: '1h' }]
const rises = [0.5, 1].map((share) => ({ share, atLeast: '1s', samples: 50 }))
const maxSeconds = 120

/**
 * Rolls out versions by a plan while two server processes answer and a worker process controls: one that errs, one that
 * is slow, and one that is fine. Version 1 is the champion, and version 2 is fine.
 */
export async function rollBacks({ db, env, key, customers }: RolledBack) {
  const servers = [await startServer(env), await startServer(env)]
  const worker = spawn(process.execPath, [join(import.meta.dirname, '../../cli/main.ts'), 'worker'], {
    env: { ...env, LOCKSTEP_LOG_LEVEL: 'error' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  const counts = { rollback_requests: 0, rollback_failed_requests: 0 }
  let over = false
  const load = async (url: string) => {
    for (let i = 0; !over; i++) {
      const entities = Array.from({ length: 4 }, (_, row) => ({ customer: 1 + ((i * 37 + row * 101) % customers) }))
      const body = JSON.stringify({ model: 'score', entities })
      const status = await fetch(`${url}/v1/predict`, { method: 'POST', headers, body }).then(
        async (response) => (await response.text(), response.status),
        () => 0,
      )
      counts.rollback_requests++
      if (status !== 200) counts.rollback_failed_requests++
    }
  }
  const loads = servers.flatMap(({ url }) => [load(url), load(url)])
  const push = async (bytes: Buffer): Promise<number> =>
    (await pushModel(db, { model: 'score', bytes, contract: await inspectModel(bytes) })).version.version
  /** @returns seconds from its start to its end */
  const rollOut = async (version: number, own: object, end: 'rolled back' | 'promoted'): Promise<number> => {
    const plan = { every: '300ms', ...own }
    await startRollout(db, 'score', { version, plan, unit: 'customer' }, { actor: 'bench' })
    const began = performance.now()
    for (;;) {
      const { rollout } = await readRolloutHistory(db.kysely, 'score')
      const seconds = (performance.now() - began) / 1000
      if (rollout?.state === end) return Math.round(seconds * 100) / 100
      if (rollout?.state !== 'running' || seconds > maxSeconds) throw new Error(`Version ${version} is "${rollout?.state}", not "${end}".`)
      await sleep(20)
    }
  }
  try {
    const errs = await rollOut(await push(erringModel()), { steps: stays, gates: [gates.errors] }, 'rolled back')
    const slow = await rollOut(await push(perceptron(width, 200_000)), { steps: stays, gates: [gates.latency] }, 'rolled back')
    const better = await rollOut(2, { steps: rises, gates: [gates.errors] }, 'promoted')
    return { rollback_s: { errs, slow }, promote_s: better, ...counts }
  } finally {
    over = true
    await Promise.all(loads)
    for (const child of [worker, ...servers.map((server) => server.child)]) {
      const ended = child.exitCode === null ? once(child, 'exit') : null
      child.kill('SIGTERM')
      await ended
    }
  }
}

/** Answers zeros, as a trial run asks for, and fails on the customers: its index is out of bounds. */
function erringModel(): Buffer {
  return makeOnnx({
    graph: {
      inputs: [{ name: 'features', type: 'float', shape: ['N', width] }],
      outputs: [{ name: 'score', type: 'float', shape: ['N', 1] }],
      initializers: [
        { name: 'weights', type: 'float', dims: [width, 1], raw: floats(...Array.from({ length: width }, () => 1e-3)) },
        { name: 'answers', type: 'float', dims: [1], raw: floats(0.5) },
      ],
      nodes: [
        { type: 'MatMul', inputs: ['features', 'weights'], outputs: ['scaled'] },
        { type: 'Cast', inputs: ['scaled'], outputs: ['index'], attributes: { to: 7n } },
        { type: 'Gather', inputs: ['answers', 'index'], outputs: ['score'], attributes: { axis: 0n } },
      ],
    },
  })
}
