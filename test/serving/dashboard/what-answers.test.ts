import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { floorTo } from '../../../kernel/values/time.ts'
import { writeMerged } from '../../../monitoring/rollups/merged-rollups.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import { pinModel, unpinModel } from '../../../registry/models/pin-model.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { promoteModel, rollBackModel } from '../../../registry/models/promote.ts'
import { actOnDecision } from '../../../registry/rollouts/act-on-decision.ts'
import { abortRollout, promoteRollout, startRollout } from '../../../registry/rollouts/change-rollout.ts'
import { readDecisions } from '../../../registry/rollouts/decisions.ts'
import { readLastRollout } from '../../../registry/rollouts/rollout.ts'
import type { ModelData } from '../../../serving/dashboard/contract/model.ts'
import type { NowData } from '../../../serving/dashboard/contract/now.ts'
import type { RolloutData } from '../../../serving/dashboard/contract/rollout.ts'
import { msText } from '../../../serving/dashboard/models/traffic-charts.ts'
import { backfillPredictions } from '../../../serving/predict/backfill-predictions.ts'
import type { World } from '../world.ts'
import { loadConfig } from '../../../runtime/config.ts'
import { createLogger } from '../../../runtime/log.ts'
import { createWorld, noon } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

const by = { actor: 'ann' }

let world: World
let ann: Visitor
let url: string
beforeAll(async () => {
  world = await createWorld('embedded')
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  for (const producer of ['', 'second', 'third']) await world.push('delay', 'logistic', producer)
  await promoteModel(world.db, 'delay', 1, by)
  await startRollout(world.db, 'delay', { version: 2, share: 0.2 }, by)
  await answered(noon - 10 * 60_000_000)
  const served = await world.serve()
  ;({ url } = served)
  await served.server.whenReady()
  ann = createVisitor(url)
  await ann.login(world.db)
})
afterAll(() => world?.close())

/** Writes what the champion and the candidate were asked in a minute. */
async function answered(minute: number): Promise<void> {
  const writer = createRollupWriter({ database: () => world.db, log: createLogger('silent') })
  const champion = Object.assign(new TrafficSummary(), { requests: 106 })
  for (const ms of [4, 20, 300]) champion.latency.total.observe(ms)
  champion.addError('INTERNAL', 2)
  const candidate = Object.assign(new TrafficSummary(), { requests: 18 })
  candidate.addBypassed('MODEL_FAILED', 53)
  for (const [version, role, traffic] of [
    [1, 'champion', champion],
    [2, 'canary', candidate],
  ] as const)
    writer.add(minute, 'first', { key: { model: 'delay', version, role }, traffic, columns: null })
  writer.end(minute, 'first', false)
  await writer.write()
}

describe('a candidate that fails while the champion answers in its place', () => {
  it('shows its failures on the pages of the model and of now, and before it is promoted', async () => {
    const { says, traffic, versions } = (await ann.data('/models/delay')) as ModelData
    const failed = 'failed on 53 of 71 requests'
    expect(says).toContain(`2 failed. Version 2 ${failed}: the champion answered in its place.`)
    expect(traffic.finding).toContain('2 failed. Candidates failed 53 times: the champion answered in their place.')
    const { traffic: all, models } = (await ann.data('/now')) as NowData
    expect(all.finding).toContain('Candidates failed 53 times')
    // both pages have the same number
    expect(models).toContainEqual(expect.objectContaining({ name: 'delay', requests: 106 + 18, errors: 2 }))
    expect(says).toMatch(/^124 requests /)
    const span = 'from 11:00 to 12:00 UTC'
    const evidence = `Version 2 ${failed} ${span}: the champion answered in its place.`
    expect(versions).toMatchObject([
      { version: 3, requests: 0, failed: 0, evidence: `No request of version 3 was counted ${span}.` },
      { version: 2, requests: 71, failed: 53, evidence },
      {
        version: 1,
        requests: 106,
        failed: 2,
        evidence: `Version 1 failed on 2 of 106 requests ${span}. It answered 99 of 100 within 301 ms.`,
      },
    ])
    expect(await ann.data('/rollouts/delay')).toMatchObject({ evidence: [evidence] })
  })
})

describe('what a model answered', () => {
  it.each(['now', 'of a moment'])('is the same on its page and on the first page, %s', async (when) => {
    // the registry keeps the time of the database
    const moment = when === 'now' ? '' : `?asOf=${new Date().toISOString()}`
    if (moment !== '') await answered(floorTo(Date.now() * 1000, 60_000_000) - 10 * 60_000_000)
    const { says, versions } = (await ann.data(`/models/delay${moment}`)) as ModelData
    const { models, latency } = (await ann.data(`/now${moment}`)) as NowData
    const { requests, errors, p99Ms } = models.find(({ name }) => name === 'delay') ?? { requests: 0, errors: 0, p99Ms: null }
    expect([requests, errors]).toEqual([124, 2])
    expect(says).toContain(`${requests} requests from `)
    expect(says).toContain(`, ${errors} failed.`)
    expect(says).toContain(`99 of 100 were answered within ${msText(p99Ms ?? 0)}.`)
    expect(latency.finding).toContain(`within ${msText(p99Ms ?? 0)}.`)
    // a version's requests are those that it failed too, which the champion answered
    expect(versions.reduce((sum, version) => sum + (version.requests ?? 0), 0)).toBe(requests + 53)
  })
})

describe('the headline of a rollout', () => {
  // a server reads what others changed a little later
  const headlineOnce = async (pinned: number | null, state = 'running') => {
    const read = async () => (await ann.data('/rollouts/delay')) as RolloutData
    await expect.poll(read).toMatchObject({ pinned, rollout: { state } })
    const { headline, traffic } = await read()
    finding = traffic.finding
    return headline
  }
  let finding = ''

  it('says which version answers while the model is pinned, and what the rollout would give', async () => {
    expect(await headlineOnce(null)).toBe('delay@2 answers 20 % of the requests. The share is changed by hand.')
    await pinModel(world.db, 'delay', 3, by, { atOnce: true })
    const without = 'Without the pin, delay@2 would answer 20 % of the requests. The share is changed by hand.'
    expect(finding).toBe('The candidate got 20 % of the requests after 1 change.')
    const set = 'The share of the candidate is set to 20 % after 1 change.'
    expect(await headlineOnce(3)).toBe(`delay@3 is pinned and answers all requests that name no version. ${without}`)
    expect(finding).toBe(`${set} It gets none, as version 3 is pinned.`)
    await pinModel(world.db, 'delay', 2, by, { atOnce: true })
    expect(await headlineOnce(2)).toBe(`delay@2 is pinned and answers all requests that name no version. ${without}`)
    expect(finding).toBe(`${set} It gets all requests that name no version, as version 2 is pinned.`)
  })

  it('does not say that the champion answers again after an end, while another version is pinned', async () => {
    await pinModel(world.db, 'delay', 2, by, { atOnce: true })
    await abortRollout(world.db, 'delay', by)
    expect(await headlineOnce(2, 'aborted')).toMatch(
      /^The rollout of delay@2 was aborted at .* UTC: delay@2, which is pinned, answers all requests that name no version\./,
    )
    await unpinModel(world.db, 'delay', by)
    expect(await headlineOnce(null, 'aborted')).toMatch(/: the champion answers again\./)
  })

  it('says since when the rollout holds, why, and what to do next, as HTTP does', async () => {
    const { rollout } = await startRollout(world.db, 'delay', { version: 2, plan: 'default' }, by)
    const evidence = { micros: 0, rows: 0, bypasses: 0, bypassedRows: 0, gates: [], failures: [] }
    await actOnDecision(world.db, rollout, { action: 'hold', reasons: ['latency: It seems slow.'] }, evidence)
    expect(await headlineOnce(null, 'running')).toMatch(
      /^delay@2 answers 1 % of the requests: step 1 of 5\. It has held since \S+ \S+ UTC: latency: It seems slow\. The rollout goes on when no gate holds it any more\. To decide yourself: "lockstep rollout promote delay" makes /,
    )
    const answer = await fetch(`${url}/v1/models/delay/rollout`)
    expect(await answer.json()).toMatchObject({
      hold: {
        since: expect.any(String) as string,
        reasons: ['latency: It seems slow.'],
        todo: expect.stringContaining('"lockstep rollout abort delay" ends the rollout.') as string,
      },
    })
    await abortRollout(world.db, 'delay', by)
  })

  it('names the champion if the promoted version was rolled back', async () => {
    await startRollout(world.db, 'delay', { version: 2, share: 0.2 }, by)
    await promoteRollout(world.db, 'delay', by)
    expect(await headlineOnce(null, 'promoted')).toBe('delay@2 is the champion: its rollout has ended.')
    await rollBackModel(world.db, 'delay', by)
    const headline = async () => ((await ann.data('/rollouts/delay')) as RolloutData).headline
    await expect.poll(headline).toMatch(/^delay@2 was promoted at \S+ \S+ UTC\. delay@1 is the champion now\.$/)
  })
})

describe('the step of a rollout', () => {
  it('begins again if the champion changes, and a decision says so', async () => {
    const { rollout } = await startRollout(world.db, 'delay', { version: 2, plan: 'default' }, by)
    await promoteModel(world.db, 'delay', 3, by, undefined, { atOnce: true })
    const [newest] = await readDecisions(world.db.kysely, rollout.id)
    expect(newest).toMatchObject({ action: 'resume', by: 'ann', reasons: ['Version 3 became the champion: the step begins again.'] })
    expect((await readLastRollout(world.db.kysely, 'delay'))?.revision).toBe(rollout.revision + 1)
    await promoteRollout(world.db, 'delay', by)
    const [promotion, before] = await readDecisions(world.db.kysely, rollout.id)
    expect([promotion?.action, before?.id]).toEqual(['promote', newest?.id])
    await promoteModel(world.db, 'delay', 1, by, undefined, { atOnce: true })
  })
})

describe('traffic as of a moment', () => {
  // the registry knows the model from its first state on
  const saysAt = async (at: string) => ((await ann.data(`/models/delay?asOf=${at}`)) as ModelData).says

  it('has no request of the minute that was not over', async () => {
    await answered(Date.UTC(2001, 5, 30, 3, 25) * 1000)
    await answered(Date.UTC(2001, 5, 30, 3, 26) * 1000)
    expect(await saysAt('2001-06-30T03:26:54Z')).toMatch(/^124 requests from 02:26 to 03:26 UTC, /)
    expect(await saysAt('2001-06-30T03:27:00Z')).toMatch(/^248 requests from 02:27 to 03:27 UTC, /)
  })

  it('counts the backfilled predictions of whole hours, which have no minutes, beside requests that have', async () => {
    const [catalog, config] = [await loadCatalog(world.db), loadConfig({})]
    const at = ['09:20', '09:50', '10:10'].map((time) => `('ATL', timestamptz '2001-06-29T${time}:00Z', 100)`)
    const spine = { sql: `select * from (values ${at.join(', ')}) rows (airport, at, distance)` }
    await backfillPredictions(world.db, catalog, config, { model: 'delay', spine, now: noon, log: createLogger('silent') })
    for (const hour of [9, 10]) await answered(Date.UTC(2001, 5, 29, hour, 40) * 1000)
    const notesAt = async (time: string) => (await ann.ask(`/ui/api/models/delay?asOf=2001-06-29T${time}Z`)).body.notes
    const counted = (text: string) => expect.stringMatching(new RegExp(`^A backfill logged ${text} UTC`)) as string
    expect(await notesAt('10:00:00')).toContainEqual(counted('2 predictions of delay from 09:00 to 10:00'))
    expect(await notesAt('10:30:00')).toContainEqual(counted('3 predictions of delay from 09:00 to 11:00'))
  })

  it('has the last complete hour where minutes are no longer kept', async () => {
    for (const [hour, requests] of [
      [2, 20],
      [3, 30],
    ] as const)
      for (const [model, role] of [
        ['delay', 'champion'],
        ['', ''],
      ] as const)
        await writeMerged(
          world.db,
          'hour',
          { at: Date.UTC(2001, 5, 20, hour) * 1000, model, version: model === '' ? 0 : 1, role },
          {
            parts: 60,
            traffic: Object.assign(new TrafficSummary(), { requests }),
            columns: null,
            coverage: model === '' ? { minutes: 60, missing: [] } : null,
          },
        )
    expect(await saysAt('2001-06-20T03:30:00Z')).toMatch(/^20 requests from 02:00 to 03:00 UTC, /)
    expect(await saysAt('2001-06-20T04:00:00Z')).toMatch(/^30 requests from 03:00 to 04:00 UTC, /)
  })
})
