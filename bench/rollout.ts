/**
 * Measures the cost of a rollout and a shadow for a prediction. Checks that each request sees one routing state.
 *
 * One server in this process answers for a model without a rollout, for one with a rollout of 5 %, and by names of
 * versions, in turn. Then two server processes answer requests of 100 rows while the share changes; one of them is
 * killed and started again. Last, versions roll out by a plan while two servers answer and a worker controls.
 *
 *     ratio_cpu_router   processor time per request with the rollout over that of the same customers who get the same
 *                        two versions by name, without a rollout; at most 1.02. Both run two models, so what differs
 *                        is the router: its rules, hashes and look-ups
 *     ratio_cpu_split    processor time per request of the two versions by name over that of one version for all: what
 *                        a second model costs. It has its own runs, of few rows each
 *     noise_cpu          processor time per request of two series without a rollout, one over the other
 *     shadow_p99_ratio   p99 of answers with a shadow of 20 % over that without, at 500 requests a second, as the median
 *                        over blocks of slices in turn; at most 1.1
 *     shadow_p99_interval   where the median over all such blocks is, with a confidence of 95 %
 *     noise_p99          p99 of slices without a shadow, one over the other
 *     shadow_rows        rows that the shadow took meanwhile, by result
 *     changes            changes of the share under load
 *     requests           requests during them
 *     failed_requests    of these, those that failed; 0
 *     mixed_requests     of these, those that no single state explains; 0
 *     restart_s          from readiness after a kill to the first answer by the stored state; at most 1
 *     rollback_s         from the start of a rollout to its end by the controller, of a version that errs, that is slow,
 *                        whose calibration is off, whose outcomes are worse, and whose feature is broken
 *     promote_s          the same of a version that is as good, over two steps of 1 s, and of a better one by its
 *                        outcomes, over a step of 5 s
 *     rollback_failed_requests   of the requests meanwhile, those that failed; 0
 *
 * Then the statistics of experiments are simulated; `rollout/experiment-statistics.ts` explains their figures.
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- rollout [--cycles 300] [--blocks 40] [--changes 10000]
 *       [--repeats 400] [--gbstats 60] [--only router|shadow|changes|roll-backs|statistics …] [--json]
 *
 * `--only` runs these parts alone; `--only statistics` needs no servers. `--gbstats 0` leaves GrowthBook's engine out.
 * The bench works in its own database and under its own key prefix, and removes both.
 */
import { parseArgs } from 'node:util'
import { inspectModel } from '../inference/inspect-model.ts'
import { pushModel } from '../registry/models/models.ts'
import { promoteModel } from '../registry/models/promote.ts'
import { loadConfig } from '../runtime/config.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { forgetKeys } from './forget-keys.ts'
import { inOwnPlace } from './in-process.ts'
import { changeUnderLoad } from './rollout/change-under-load.ts'
import { experimentStatistics } from './rollout/experiment-statistics.ts'
import { rollBacks } from './rollout/roll-backs.ts'
import { routerCpu } from './rollout/router-cpu.ts'
import { shadowLatency } from './rollout/shadow-latency.ts'
import { shopRollBacks } from './rollout/shop-roll-backs.ts'
import { perceptron } from './serving/perceptron.ts'
import { setUp, width } from './serving/set-up.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    cycles: { type: 'string', default: '300' },
    blocks: { type: 'string', default: '40' },
    changes: { type: 'string', default: '10000' },
    repeats: { type: 'string', default: '400' },
    gbstats: { type: 'string', default: '60' },
    only: { type: 'string', multiple: true, default: [] },
  },
})
const parts = ['router', 'shadow', 'changes', 'roll-backs', 'statistics']
const unknown = args.only.find((part) => !parts.includes(part))
if (unknown !== undefined) throw new Error(`--only ${unknown}: it is one of ${parts.join(', ')}.`)
const runs = (part: string): boolean => args.only.length === 0 || args.only.includes(part)
const customers = 2_000
const by = { actor: 'bench' }

const result = { ...(parts.slice(0, 4).some(runs) ? await onServers() : {}), ...(runs('statistics') ? await statistics() : {}) }
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
  let rolled = null as Awaited<ReturnType<typeof rollBacks>> | null
  await inOwnPlace(postgresUrl, async ({ env }) => {
    const config = loadConfig(env)
    const db = openPostgres(config.postgresUrl as string)
    const key = await setUp(db, config, customers)
    // another producer makes another file of the same model
    const champion = perceptron(width, 64)
    const candidate = Buffer.concat([champion, Buffer.of(0x12, 1, 0x62)])
    await pushModel(db, { model: 'split', bytes: champion, contract: await inspectModel(champion) })
    for (const model of ['score', 'split']) {
      await pushModel(db, { model, bytes: candidate, contract: await inspectModel(candidate) })
      await promoteModel(db, model, 1, by)
    }
    const cpu = runs('router') ? await routerCpu(config, key, customers, Number(args.cycles)) : {}
    const shadow = runs('shadow') ? await shadowLatency(config, key, customers, Number(args.blocks)) : {}
    const changed = runs('changes') ? await changeUnderLoad({ db, env, key, customers, changes: Number(args.changes) }) : {}
    if (runs('roll-backs')) rolled = await rollBacks({ db, env, key, customers })
    await db.close()
    await forgetKeys(redisUrl, config.redisPrefix)
    result = { ...cpu, ...shadow, ...changed }
  })
  return rolled === null ? result : { ...result, ...rolledBack(rolled, await shopRollBacks(postgresUrl)) }
}

function rolledBack(
  { errs, slow, better, requests, failed }: Awaited<ReturnType<typeof rollBacks>>,
  shop: Awaited<ReturnType<typeof shopRollBacks>>,
) {
  return {
    rollback_s: { errs, slow, ...shop.rolledBack },
    promote_s: { as_good: better, better: shop.better },
    rollback_requests: requests + shop.requests,
    rollback_failed_requests: failed + shop.failed,
  }
}
