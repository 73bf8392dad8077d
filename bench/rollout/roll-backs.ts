import { once } from 'node:events'
import { inspectModel } from '../../inference/inspect-model.ts'
import { pushModel } from '../../registry/models/models.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { floats, makeOnnx } from '../../test/inference/make-onnx.ts'
import { perceptron } from '../serving/perceptron.ts'
import { width } from '../serving/set-up.ts'
import { rollOutTo } from './roll-out-to.ts'
import { startServer, startWorker } from './start-server.ts'

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

/**
 * Rolls out versions by a plan while two server processes answer and a worker process controls: one that errs, one that
 * is slow, and one that is fine. Version 1 is the champion, and version 2 is fine.
 */
export async function rollBacks({ db, env, key, customers }: RolledBack) {
  const servers = [await startServer(env), await startServer(env)]
  const worker = startWorker(env)
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  const counts = { requests: 0, failed: 0 }
  let over = false
  const load = async (url: string) => {
    for (let i = 0; !over; i++) {
      const entities = Array.from({ length: 4 }, (_, row) => ({ customer: 1 + ((i * 37 + row * 101) % customers) }))
      const body = JSON.stringify({ model: 'score', entities })
      const status = await fetch(`${url}/v1/predict`, { method: 'POST', headers, body }).then(
        async (response) => (await response.text(), response.status),
        () => 0,
      )
      counts.requests++
      if (status !== 200) counts.failed++
    }
  }
  const loads = servers.flatMap(({ url }) => [load(url), load(url)])
  const push = async (bytes: Buffer): Promise<number> =>
    (await pushModel(db, { model: 'score', bytes, contract: await inspectModel(bytes) })).version.version
  const rollOut = (version: number, plan: object, end: 'rolled back' | 'promoted') =>
    rollOutTo(db, { model: 'score', version, unit: 'customer' }, plan, end)
  try {
    const errs = await rollOut(await push(erringModel()), { steps: stays, gates: [gates.errors] }, 'rolled back')
    const slow = await rollOut(await push(perceptron(width, 200_000)), { steps: stays, gates: [gates.latency] }, 'rolled back')
    const better = await rollOut(2, { steps: rises, gates: [gates.errors] }, 'promoted')
    return { errs, slow, better, ...counts }
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
