import { beforeAll, expect, it } from 'vitest'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { evaluateMonitor } from '../../../monitoring/alerts/evaluate-monitor.ts'
import { readAlerts, readDeliveries } from '../../../monitoring/alerts/read-alerts.ts'
import { readMemories, recordEvaluation } from '../../../monitoring/alerts/record-evaluation.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { count } from '../../../registry/define/aggregate.ts'
import { entity } from '../../../registry/define/entity.ts'
import { featureService } from '../../../registry/define/feature-service.ts'
import { featureView } from '../../../registry/define/feature-view.ts'
import { model } from '../../../registry/define/model.ts'
import { monitor } from '../../../registry/define/monitor.ts'
import { source } from '../../../registry/define/source.ts'
import { t } from '../../../registry/define/t.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { actOnDecision } from '../../../registry/rollouts/act-on-decision.ts'
import type { ControllerDecision } from '../../../registry/rollouts/act-on-decision.ts'
import { pauseRollout } from '../../../registry/rollouts/change-rollout.ts'
import { parsePlan } from '../../../registry/rollouts/plan-schema.ts'
import { readRolloutHistory } from '../../../registry/rollouts/rollout-history.ts'
import { holdOf, stepsDone } from '../../../registry/rollouts/rollout-hold.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { during, openServer } from '../../opened-database.ts'
import { load } from '../../registry/definition-files.ts'

const definitions = `import { channel, count, entity, featureService, featureView, model, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64 } })
const view = featureView('spent', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
const service = featureService('spending', { version: 1, features: [view] })
export const fraud = model('fraud', { service, output: { probability: t.float32 } })
export const unwatched = model('unwatched', { service, output: { probability: t.float32 }, monitors: 'none' })
export const team = channel('team', { kind: 'webhook', url: 'https://alerts.example', secret: { env: 'HOOK_SECRET' } })
`

const opened = during(openServer)
let db: Database
beforeAll(async () => {
  db = opened().db
  await applyChanges(db, await load({ 'features.ts': definitions }))
})

const plan = parsePlan({ steps: [{ share: 0.05 }, { share: 1 }], gates: [{ kind: 'errors' }] }, [])

/** As if a version of the model were rolled out by a plan. */
async function start(model: string, version: number): Promise<void> {
  await db.query(
    `insert into lockstep.rollouts (model, version, state, share, unit, salt, plan, step, started_by)
      values ($1, $2, 'running', 0.05, 'card', 's', $3, 0, 'ann')`,
    [model, version, JSON.stringify(plan)],
  )
}

/** What the controller does with its decision. */
async function decide(model: string, action: ControllerDecision['action'], ...reasons: readonly string[]): Promise<void> {
  const { rollout } = await readRolloutHistory(db.kysely, model)
  if (rollout === null) throw new Error(`${model} has no rollout.`)
  expect(await actOnDecision(db, rollout, { action, reasons }, {})).toBe(true)
}

/** As if so many minutes had passed since all that has happened. */
async function pass(minutes: number): Promise<void> {
  const ago = `- make_interval(mins => ${minutes})`
  await db.script(`UPDATE lockstep.rollout_decisions SET at = at ${ago}, since = since ${ago};
    UPDATE lockstep.rollouts SET since = since ${ago}, ended_at = ended_at ${ago}`)
}

let moment = Date.now() * 1000
/** Evaluates the default monitor of rollouts; returns its alerts with the events that its channel is notified of. */
async function evaluate(): Promise<string[]> {
  const catalog = await loadCatalog(db)
  const { monitors, channels } = activeMonitors(catalog, true)
  const watching = monitors.find(({ name }) => name === 'system:rollouts')
  if (watching === undefined) throw new Error('There is no monitor of rollouts.')
  moment = Math.max(moment + 1, Date.now() * 1000)
  const deps = { db, store: null, catalog, clock: () => moment, signal: new AbortController().signal }
  const checked = await evaluateMonitor(deps, watching, moment, await readMemories(db, watching.name))
  expect(checked.map(({ error }) => error)).toEqual([null])
  await recordEvaluation(db, watching, channels, moment, checked)
  const alerts = (await readAlerts(db, { monitor: watching.name })).toSorted((a, b) => a.id - b.id)
  return await Promise.all(
    alerts.map(async ({ id, subject, state }) => [subject, state, ...(await readDeliveries(db, id)).map(({ event }) => event)].join(' ')),
  )
}

/** What the newest notification says. */
async function notified(): Promise<string> {
  const [row] = await db.query<{ cause: string }>(
    `select message->>'cause' as cause from lockstep.alert_deliveries order by id desc limit 1`,
  )
  return row?.cause ?? ''
}

it('a rollout that is held or rolled back raises one alert, which ends once it goes on or is replaced', async () => {
  await start('unwatched', 2)
  await decide('unwatched', 'roll back', 'errors: Too many.')
  expect(await evaluate()).toEqual([])

  await start('fraud', 2)
  await decide('fraud', 'not enough evidence', 'It has just begun.')
  await pass(10)
  expect(await evaluate()).toEqual([])
  await decide('fraud', 'hold', 'latency: It seems slow.', 'load: It seems busy.')
  // it may end without a person
  await pass(4)
  expect(await evaluate()).toEqual([])
  await pass(1)
  await decide('fraud', 'hold', 'latency: It still seems slow.', 'load: It seems busy.')
  expect(await evaluate()).toEqual(['fraud firing firing'])
  expect(await notified()).toMatch(
    /^The rollout of "fraud@2" has held for 5 min, since \S+ \S+ UTC, in step 1 of 2 with 5 % of the requests\. latency: It still seems slow\. 1 more reason is in the evidence\. The rollout goes on when no gate holds it any more\. To decide yourself: "lockstep rollout promote fraud" makes .*"lockstep rollout abort fraud" ends the rollout\. "lockstep rollout show fraud" has the evidence\.$/,
  )
  // a look without a hold does not end the alert at once, and holding again raises no other one
  await decide('fraud', 'not enough evidence', 'More rows are needed.')
  expect(await evaluate()).toEqual(['fraud firing firing'])
  await decide('fraud', 'hold', 'latency: It seems slow.')
  expect(await evaluate()).toEqual(['fraud firing firing'])
  await pass(6)
  expect(await evaluate()).toEqual(['fraud firing firing'])
  await decide('fraud', 'advance')
  expect(await evaluate()).toEqual(['fraud resolved firing resolved'])

  await decide('fraud', 'hold', stepsDone, 'latency: It is as fast.')
  await pass(6)
  expect((await evaluate()).at(-1)).toBe('fraud firing firing')
  expect(await notified()).toContain(`${stepsDone} "lockstep rollout promote fraud" makes the candidate the champion`)
  // the end of a rollout that a person should look after is news of the same alert
  await decide('fraud', 'roll back', 'errors: 30 % of the requests failed.')
  expect((await evaluate()).at(-1)).toBe('fraud firing firing firing')
  expect(await notified()).toMatch(
    /^The rollout of "fraud@2" was rolled back at \S+ \S+ UTC, in step 2 of 2 with 100 % of the requests\. errors: 30 % of the requests failed\. The champion answers all requests again\. "lockstep rollout show fraud" has the evidence\. Mend the candidate, and start another rollout\.$/,
  )
  expect((await evaluate()).at(-1)).toBe('fraud firing firing firing')
  await start('fraud', 3)
  expect((await evaluate()).at(-1)).toBe('fraud resolved firing firing resolved')

  // a rollback is news for a day
  await decide('fraud', 'roll back', 'errors: 30 % of the requests failed.')
  expect((await evaluate()).at(-1)).toBe('fraud firing firing')
  await pass(24 * 60 + 1)
  expect((await evaluate()).at(-1)).toBe('fraud resolved firing resolved')
  const { length } = await evaluate()
  expect(await evaluate()).toHaveLength(length)
})

it('a hold is known since its first look in a row, but not while its rollout is paused or its model is pinned', async () => {
  await start('fraud', 4)
  const hold = async () => (await readRolloutHistory(db.kysely, 'fraud')).hold
  expect(await hold()).toBeNull()
  await decide('fraud', 'hold', 'latency: It seems slow.')
  const first = (await hold())?.since
  await decide('fraud', 'hold', 'latency: It still seems slow.')
  expect(await hold()).toEqual({
    since: first,
    reasons: ['latency: It still seems slow.'],
    todo: expect.stringContaining('lockstep rollout promote fraud'),
  })
  await decide('fraud', 'not enough evidence', 'More rows are needed.')
  expect(await hold()).toBeNull()
  await decide('fraud', 'hold', 'latency: It seems slow.')
  const again = await hold()
  expect(again?.since.getTime()).toBeGreaterThan(first?.getTime() ?? Number.NaN)
  const { rollout, decisions } = await readRolloutHistory(db.kysely, 'fraud')
  expect(rollout === null ? again : holdOf(rollout, decisions, 4)).toBeNull()
  await pauseRollout(db, 'fraud', { actor: 'ann' })
  expect(await hold()).toBeNull()
})

it('a declared monitor watches the rollouts of its model, and none of a view', () => {
  const checks = [{ kind: 'rollouts', maxHold: '1h' }] as const
  expect(monitor('all_rollouts', { checks }).spec.target).toEqual({ kind: 'system' })
  const card = entity('card', { key: { card: t.string } })
  const payments = source('payments', { key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float64 } })
  const view = featureView('spent', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
  const fraud = model('fraud', {
    service: featureService('spending', { version: 1, features: [view] }),
    output: { probability: t.float32 },
  })
  expect(monitor('own_rollouts', { model: fraud, checks }).spec).toMatchObject({ target: { kind: 'model', model: 'fraud' }, checks })
  expect(() => monitor('wrong', { view, checks })).toThrow('The monitor "wrong" has the check "rollouts", which needs a model; add one.')
})
