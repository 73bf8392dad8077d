import { createServer } from 'node:http'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectModel } from '../../../inference/inspect-model.ts'
import { materializeView } from '../../../materializer/runs/materialize.ts'
import { makeLackingBaselines } from '../../../monitoring/baselines/baseline-job.ts'
import type { ControllerDeps } from '../../../monitoring/rollouts/controller.ts'
import { look } from '../../../monitoring/rollouts/controller.ts'
import { decide } from '../../../monitoring/rollouts/decide.ts'
import { gatherGateEvidence, hasPlan } from '../../../monitoring/rollouts/gate-evidence.ts'
import { createRollups } from '../../../monitoring/rollups/create-rollups.ts'
import { createRedisStore } from '../../../online/redis-store.ts'
import type { OnlineStore } from '../../../online/store.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { pushModel } from '../../../registry/models/models.ts'
import { startRollout } from '../../../registry/rollouts/change-rollout.ts'
import { readRolloutHistory } from '../../../registry/rollouts/rollout-history.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openRedis } from '../../../runtime/redis/redis.ts'
import { until } from '../../serving/gate.ts'
import { ask } from '../../serving/world.ts'
import { brokenDefinitions, definitions, fraudModel } from '../faults/shop.ts'
import type { Shop } from '../faults/virtual-shop.ts'
import { openShop } from '../faults/virtual-shop.ts'
import type { TestDatabase } from '../../services/index.ts'
import { testDatabase, testRedis } from '../../services/index.ts'

// A server over PostgreSQL and Redis whose clock is virtual answers requests, and logs and summarizes them.

const withLoss = (text: string) =>
  text
    .replace('is_fraud: t.bool } })', 'is_fraud: t.bool, loss: t.float64 } })')
    .replace("within: '30m',", "within: '30m', figures: { loss: 'loss' },")
/** Lacks the value of half of the cards, and has those of the others in cents. */
const broken = withLoss(brokenDefinitions).replace('row.amount === null ?', 'row.amount === null || row.amount > 50 ?')

let database: TestDatabase
let shop: Shop
let store: OnlineStore
let deps: ControllerDeps
let board: Server
/** The answer of the webhook. */
let says: object = { action: 'advance', text: 'the board agrees' }

beforeAll(async () => {
  board = createServer((request, response) => void request.resume().on('end', () => response.end(JSON.stringify(says))))
  board.listen(0, '127.0.0.1')
  await once(board, 'listening')
  database = await testDatabase()
  const redis = await testRedis()
  // with enough cards for gates of outcomes
  shop = await openShop({ postgresUrl: database.url, redis, cards: 800, conditions: { requests: 10, evaluateEvery: 100_000 } })
  store = createRedisStore({ redis: openRedis(redis.url), prefix: redis.prefix })
  deps = {
    db: shop.db,
    store: async () => store,
    catalog: () => loadCatalog(shop.db),
    readSecret: () => 'secret',
    allowPrivate: true,
    clock: shop.now,
  }
  await shop.apply(withLoss(definitions))
  await shop.promote(1)
})
afterAll(async () => {
  await store?.close()
  await shop?.close()
  await database?.drop()
  board?.closeAllConnections()
  await new Promise((resolve) => (board?.close(resolve) === undefined ? resolve(null) : undefined))
})

/** With wide margins and small alphas, because who gets the candidate differs from run to run. */
const planOf = () => ({
  steps: [
    { share: 0.5, atLeast: '10m', samples: 100 },
    { share: 1, atLeast: '10m', samples: 100 },
  ],
  gates: [
    { kind: 'errors', samples: 100 },
    { kind: 'latency', factor: 20, atLeast: '100ms', samples: 100 },
    { kind: 'features', samples: 50, margin: 0.1 },
    { kind: 'parity', settle: '2m', vectors: 50 },
    { kind: 'freshness' },
    { kind: 'inputs' },
    { kind: 'predictions', rows: 1000, alpha: 1e-5 },
    { kind: 'quality', figure: 'brier', samples: 100, margin: 0.1 },
    { kind: 'calibration', samples: 100, margin: 0.2 },
    { kind: 'business', figure: 'loss', better: 'lower', margin: 0.25, samples: 100 },
    { kind: 'split', samples: 50, alpha: 1e-5 },
    { kind: 'load' },
    { kind: 'webhook', name: 'board', url: `http://127.0.0.1:${(board.address() as AddressInfo).port}`, secret: { env: 'BOARD_SECRET' } },
  ],
})

const entities = Array.from({ length: 20 }, (_, i) => ({ card: `c${i}` }))

/** Starts a rollout, as if at the virtual time. */
async function rollOut(version: number): Promise<void> {
  const start = { version, plan: planOf(), unit: 'card', datasetMismatch: true }
  await startRollout(shop.db, 'fraud', start, { actor: 'test' }, { allowPrivate: true })
  await until(async () => (await ask(shop.url, '/v1/predict', { model: 'fraud', entities })).text.includes('"canary"'))
  const now = shop.now() / 1e6
  await shop.db.query(`UPDATE lockstep.rollouts SET since = to_timestamp($1), started_at = to_timestamp($1) WHERE version = $2`, [
    now,
    version,
  ])
  await shop.db.query(`UPDATE lockstep.model_aliases SET set_at = to_timestamp($1)`, [now])
}

async function running() {
  const { rollout } = await readRolloutHistory(shop.db.kysely, 'fraud')
  if (rollout === null || !hasPlan(rollout)) throw new Error('There is no rollout with a plan.')
  return rollout
}

/** The decision of each gate alone, by the present evidence. */
async function decideByGate() {
  const rollout = await running()
  const gathered = { ...deps, store, catalog: await deps.catalog(), now: shop.now(), signal: new AbortController().signal }
  const evidence = await gatherGateEvidence(gathered, rollout, null)
  const decided = rollout.plan.gates.map((gate, i) => {
    const own = { ...evidence, gates: [evidence.gates[i] ?? null], failures: [evidence.failures[i] ?? null] }
    const { action, reasons } = decide({ ...rollout.plan, gates: [gate] }, 0, own)
    return [gate.kind, `${action}: ${reasons.join(' ')}`] as const
  })
  return { evidence, decided: Object.fromEntries(decided) }
}

/** Outcomes say what was lost. */
async function noteLosses(): Promise<void> {
  await shop.db.query('UPDATE lockstep_source.reports SET loss = is_fraud::int WHERE loss IS NULL')
}

const matching = (pattern: RegExp) => expect.stringMatching(pattern) as string

describe('the gates of a rollout', () => {
  it('have too little evidence at first, and let a fine candidate advance', async () => {
    await rollOut(await shop.push('another'))
    const none = (await decideByGate()).decided
    for (const kind of ['features', 'parity', 'inputs', 'predictions', 'quality', 'calibration', 'business', 'split', 'load'])
      expect([kind, none[kind]]).toEqual([kind, matching(/^not enough evidence: /)])
    await shop.pass(46)
    await noteLosses()
    // servers write the counts of a rollout once a second
    await until(async () => (await decideByGate()).decided['errors']?.startsWith('not enough') === false)
    const first = await decideByGate()
    expect(first.decided).toEqual({
      errors: matching(/^advance: errors: 0 of \d+ requests failed with the candidate, 0 of \d+ with the champion/),
      latency: matching(/^advance: latency: 95 % of the requests took up to/),
      features: matching(/^advance: features: The feature "\w+" has no value for .* with the champion/),
      parity: matching(/^advance: parity: 0 of 150 feature values in 50 rows of the candidate differ from the history/),
      freshness: matching(/^advance: freshness: The online view of the candidate is fresh\.$/),
      inputs: matching(/^advance: inputs: The 3 tested features of \d+ rows are like the candidate's training set\.$/),
      predictions: matching(/^advance: predictions: The outputs of \d+ rows are like the champion's/),
      quality: matching(/^advance: quality brier: The brier by "reported" is 0\.\d+ with the candidate \(\d+ rows\)/),
      calibration: matching(/^advance: calibration: The calibrationError by "reported" is 0[.\d]* with the candidate/),
      business: matching(/^advance: business loss: The loss by "reported" is 0\.\d+ with the candidate/),
      split: matching(/^advance: split: \d+ of \d+ units got the candidate, .*; its share is 50 %\.$/),
      load: matching(/^advance: load: Servers refused 0 % of the requests/),
      webhook: 'advance: webhook board: The webhook "board" answered "advance": the board agrees',
    })
    // as the controller does it
    const done = await look(deps, await running(), new AbortController().signal)
    expect([done.action, done.done, done.reasons.length]).toEqual(['advance', true, 13])
    expect(await running()).toMatchObject({ state: 'running', step: 1, share: 1 })
    // the next step begins without evidence of its own
    expect((await look(deps, await running(), new AbortController().signal)).action).toBe('not enough evidence')
    expect((await ask(shop.url, '/v1/models/fraud/rollout/abort', {})).status).toBe(200)
  })

  it('each find what is wrong with a candidate, and it is rolled back', async () => {
    await shop.apply(broken)
    const bytes = fraudModel('broken', -0.2)
    const [first] = await shop.db.query<{ dataset: string }>(
      `SELECT dataset FROM lockstep.model_versions WHERE model = 'fraud' AND version = 1`,
    )
    const pushed = { model: 'fraud', bytes, contract: await inspectModel(bytes), dataset: first?.dataset ?? '', datasetMismatch: true }
    const { version } = (await pushModel(shop.db, pushed)).version
    const log = createLogger('silent')
    await makeLackingBaselines({ ...deps, log, onFailure: (_, error) => expect.unreachable(error) })
    await shop.apply(broken)
    // the new view is materialized
    await shop.pass(1)
    await rollOut(version)
    await shop.pass(45)
    await noteLosses()
    // what the history says of them now was not served
    await shop.db.query(`UPDATE lockstep_source.payments SET country = 'XX'`)
    await shop.pass(1)
    // only the champion's view is kept up
    shop.conditions.materializer = false
    await shop.pass(15)
    // servers refuse requests
    const refusing = createRollups(() => shop.db, { rowsPerSecond: 0 }, createLogger('silent'), shop.now)
    for (let i = 0; i < 50; i++) refusing.errorAnswered(new LockstepError('OVERLOADED', 'The server is busy.'))
    await shop.pass(1)
    await refusing.close(60_000)
    await shop.pass(4)
    await noteLosses()
    await materializeView(shop.db, store, (await loadCatalog(shop.db)).view('spending@1'), { moment: shop.now(), now: shop.now })
    // a server that has another share than the registry
    await shop.db.query(`UPDATE lockstep.rollouts SET share = 0.2 WHERE state = 'running'`)
    says = { action: 'roll back', text: 'the board does not agree' }

    const { decided } = await decideByGate()
    expect(decided).toMatchObject({
      features: matching(/^roll back: features: The feature "amount" has no value for .* of \d+ entities with the candidate.* \(p /),
      parity: matching(/^roll back: parity: \d+ of 150 feature values in 50 rows .* Most often "country" differs\./),
      freshness: matching(/^roll back: freshness: The view "spending@2", which only the candidate uses, is late: /),
      inputs: matching(/^roll back: inputs: \d of \d features differ from the candidate's training set, most "amount"/),
      predictions: matching(/^hold: predictions: The output "score" is NaN or infinite for [\d.]+ % of \d+ entities with the candidate/),
      quality: matching(/^roll back: quality brier: The brier by "reported" is [\d.]+ with the candidate .* \(p /),
      calibration: matching(/^roll back: calibration: The calibrationError by "reported"/),
      business: matching(/^roll back: business loss: The loss by "reported" is .* lower is better/),
      split: matching(/^roll back: split: .* its share is 20 %\. That is no accident/),
      load: matching(/^hold: load: Servers refused [\d.]+ % of the requests/),
      webhook: 'roll back: webhook board: The webhook "board" answered "roll back": the board does not agree',
    })
    const done = await look(deps, await running(), new AbortController().signal)
    expect([done.action, done.done]).toEqual(['roll back', true])
    expect(done.reasons.map((reason) => reason.split(':')[0])).toEqual([
      'features',
      'parity',
      'freshness',
      'inputs',
      'quality brier',
      'calibration',
      'business loss',
      'split',
      'webhook board',
    ])
  })

  it('inputs lets a candidate advance whose features changed for the champion, too', async () => {
    await shop.apply(withLoss(definitions))
    shop.conditions.materializer = true
    await shop.pass(1)
    await rollOut(await shop.push('third'))
    shop.conditions.unit = 100
    await shop.pass(15)
    shop.conditions.unit = 1
    // servers write the counts of a rollout once a second
    await until(async () => (await decideByGate()).evidence.rows >= 100)
    const { decided } = await decideByGate()
    expect(decided['inputs']).toMatch(
      /^advance: inputs: .* training set, but for .*"amount".*, which differs? as much from the champion's\.$/,
    )
    expect((await ask(shop.url, '/v1/models/fraud/rollout/abort', {})).status).toBe(200)
  })
})
