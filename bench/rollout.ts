/**
 * What a rollout and a shadow cost a prediction, and whether requests see one routing state each.
 *
 * One server in this process answers with and without a rollout of 5 % in turn, a block of rounds at a time. Then two
 * server processes answer requests of 100 rows while the share changes; one of them is killed and started again.
 *
 *     ratio_cpu_router   processor time per request with the rollout over that without; at most 1.02
 *     noise_cpu          the same of two series without a rollout
 *     shadow_p99_ratio   p99 of answers with a shadow of 20 % over that without, at 500 requests a second, as the median
 *                        over pairs of rounds; at most 1.1
 *     noise_p99          the same of two series without a shadow
 *     shadow_rows        rows that the shadow took meanwhile, by result
 *     changes            changes of the share under load
 *     requests           requests during them
 *     failed_requests    of these, those that failed; 0
 *     mixed_requests     of these, those that no single state explains; 0
 *     restart_s          from readiness after a kill to the first answer by the stored state; at most 1
 *
 * Then the statistics of experiments are simulated; `rollout/experiment-statistics.ts` explains their figures.
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- rollout [--blocks 60] [--pairs 20] [--changes 2000]
 *       [--repeats 400] [--gbstats 60] [--only router|shadow|changes|statistics …] [--json]
 *
 * `--only` runs these parts alone; `--only statistics` needs no servers. `--gbstats 0` leaves GrowthBook's engine out.
 * The bench works in its own database and under its own key prefix, and removes both.
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Registry } from 'prom-client'
import { inspectModel } from '../inference/inspect-model.ts'
import { openOnlineStore } from '../online/open-store.ts'
import { pushModel } from '../registry/models.ts'
import { promoteModel } from '../registry/promote.ts'
import { abortRollout, startRollout } from '../registry/rollouts/change-rollout.ts'
import { loadConfig } from '../runtime/config.ts'
import { createLogger } from '../runtime/log.ts'
import { openPostgres } from '../runtime/open-postgres.ts'
import { createServer } from '../serving/server.ts'
import { forgetKeys } from './forget-keys.ts'
import { inOwnPlace } from './in-process.ts'
import { changeUnderLoad } from './rollout/change-under-load.ts'
import { experimentStatistics } from './rollout/experiment-statistics.ts'
import { shadowLatency } from './rollout/shadow-latency.ts'
import { perceptron } from './serving/perceptron.ts'
import { setUp, width } from './serving/set-up.ts'
import { targetsAt } from './serving/targets.ts'
import type { Asked } from './tracing/ask-worker.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    blocks: { type: 'string', default: '60' },
    pairs: { type: 'string', default: '20' },
    changes: { type: 'string', default: '2000' },
    repeats: { type: 'string', default: '400' },
    gbstats: { type: 'string', default: '60' },
    only: { type: 'string', multiple: true, default: [] },
  },
})
const parts = ['router', 'shadow', 'changes', 'statistics']
const unknown = args.only.find((part) => !parts.includes(part))
if (unknown !== undefined) throw new Error(`--only ${unknown}: it is one of ${parts.join(', ')}.`)
const runs = (part: string): boolean => args.only.length === 0 || args.only.includes(part)
const customers = 2_000
const by = { actor: 'bench' }
const roundsPerBlock = 10
const requestsPerRound = 400
/** Blocks that are not measured. */
const warmUp = 6

const result = { ...(parts.slice(0, 3).some(runs) ? await onServers() : {}), ...(runs('statistics') ? await statistics() : {}) }
if (args.json) process.stdout.write(`${JSON.stringify(result)}\n`)
else
  for (const [name, value] of Object.entries(result))
    process.stdout.write(`${name.padEnd(26)} ${typeof value === 'object' ? JSON.stringify(value) : value}\n`)

async function statistics() {
  return await experimentStatistics(Number(args.repeats), Number(args.gbstats), (line) => process.stderr.write(`${line}\n`))
}

async function onServers() {
  const { postgresUrl, redisUrl } = loadConfig()
  if (postgresUrl === null || redisUrl === null) {
    process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
    process.exit(2)
  }
  let result = {}
  await inOwnPlace(postgresUrl, async ({ env }) => {
    const config = loadConfig(env)
    const db = openPostgres(config.postgresUrl as string)
    const key = await setUp(db, config, customers)
    // another producer makes another file of the same model
    const candidate = Buffer.concat([perceptron(width, 64), Buffer.of(0x12, 1, 0x62)])
    await pushModel(db, { model: 'score', bytes: candidate, contract: await inspectModel(candidate) })
    await promoteModel(db, 'score', 1, by)
    const cpu = runs('router') ? await routerCpu(config, key) : {}
    const shadow = runs('shadow') ? await shadowLatency(config, key, customers, Number(args.pairs)) : {}
    const changed = runs('changes') ? await changeUnderLoad({ db, env, key, customers, changes: Number(args.changes) }) : {}
    await db.close()
    await forgetKeys(redisUrl, config.redisPrefix)
    result = { ...cpu, ...shadow, ...changed }
  })
  return result
}

async function routerCpu(config: ReturnType<typeof loadConfig>, key: string) {
  const db = openPostgres(config.postgresUrl as string)
  const stores = { database: async () => openPostgres(config.postgresUrl as string), store: () => openOnlineStore(config) }
  const log = createLogger('silent')
  const server = createServer({ config, ...stores, log, metrics: new Registry(), clock: () => Date.now() * 1000, lead: false })
  const { port } = await server.listen('127.0.0.1', 0)
  await server.whenReady()
  const { bodies, path, headers } = targetsAt('', '', key, customers).predict
  const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const asked: Asked = {
    ports: [port],
    connections: 16,
    requests: bodies.map(
      (body) => `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${String(body)}`,
    ),
  }
  const worker = new Worker(new URL('./tracing/ask-worker.ts', import.meta.url), { workerData: asked })
  await once(worker, 'message')
  const measured: readonly number[][] = [[], [], []]
  for (let block = -warmUp; block < Number(args.blocks); block++) {
    // without, without, with
    const state = (block + warmUp) % 3
    if (state === 2) await startRollout(db, 'score', { version: 2, share: 0.05 }, by)
    for (let round = -1; round < roundsPerBlock; round++) {
      const before = process.threadCpuUsage()
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage({ server: 0, count: requestsPerRound })
      await once(worker, 'message')
      const { user, system } = process.threadCpuUsage(before)
      // the server loads the registry in the first round of a block
      if (block >= 0 && round >= 0) measured[state]?.push((user + system) / requestsPerRound)
    }
    if (state === 2) await abortRollout(db, 'score', by)
  }
  const [off = Number.NaN, control = Number.NaN, on = Number.NaN] = measured.map(fasterHalf)
  await worker.terminate()
  await server.close()
  await db.close()
  return {
    us_off: rounded(off),
    us_on: rounded(on),
    noise_cpu: rounded(control / off),
    ratio_cpu_router: rounded(on / ((off + control) / 2)),
  }
}

/** The mean of the faster half. */
function fasterHalf(values: readonly number[]): number {
  const half = values.toSorted((a, b) => a - b).slice(0, Math.ceil(values.length / 2))
  return half.reduce((sum, each) => sum + each, 0) / half.length
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
