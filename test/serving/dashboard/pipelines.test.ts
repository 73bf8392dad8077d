import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { landingsPipeline, streamingSet } from '../streaming/pipeline-world.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

const stream = { kind: 'redis', stream: 'landed', group: 'landings', field: 'data' } as const

let world: World
let ann: Visitor
beforeAll(async () => {
  world = await createWorld('embedded', streamingSet(stream, [landingsPipeline()]))
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await world.push('delay', 'logistic')
  // its database would delete records of 2001 from the audit log about a minute after the start
  const { server, url } = await world.serve({ config: { bodyLimitBytes: 100_000, auditRetentionDays: 36_500 } })
  await server.whenReady()
  ann = createVisitor(url)
  await ann.login(world.db)
})
afterAll(() => world?.close())

describe('a pipeline', () => {
  const shown = async (query = '') =>
    (await ann.data(`/pipelines/score${query}`)) as {
      pipeline: object
      revision: string
      throughput: { series: { points: { t: number; v: number | null }[] }[] }
    }

  it('has its state, rate and lag from what its workers wrote, and as of then', async () => {
    expect((await shown()).pipeline).toMatchObject({ state: 'no worker', workers: 0, waiting: null, lastError: null })
    const wrote = async (process: string, minute: string, seen: string, answered: number, failing: string | null) =>
      await world.db.query(
        `insert into lockstep.pipeline_minutes values ('score', $1, $2, $3, 1, 0, 40, 3, 1.5, $4, $5, $5, case when $5::text is null then null else $4::timestamptz end)`,
        [`2001-07-01T${minute}:00Z`, process, answered, `2001-07-01T${seen}Z`, failing],
      )
    await wrote('a', '11:57', '11:57:58', 600, null)
    await wrote('b', '11:58', '11:58:58', 540, 'the sink is down')
    await wrote('a', '11:59', '11:59:55', 60, null)
    await expect.poll(async () => (await shown()).pipeline).toMatchObject({ state: 'running', workers: 1, waiting: 40, perSecond: 5 })
    const { throughput, pipeline } = await shown()
    expect(pipeline).toMatchObject({ lastError: { text: 'the sink is down', at: '2001-07-01T11:58:58.000Z' }, oldestSeconds: 1.5 })
    expect(throughput.series[0]?.points.slice(-4).map(({ v }) => v)).toEqual([null, 10, 9, 1])
    expect((await shown('?asOf=2001-07-01T11:59:10Z')).pipeline).toMatchObject({
      state: 'waits',
      workers: 2,
      says: 'It waited, and tried again: the sink is down',
    })
    // the list has the pipelines that the registry had then
    expect(await ann.data('/pipelines?asOf=2001-07-01T11:57:58Z')).toEqual({ pipelines: [] })
    await world.db.query(`update lockstep.definition_states set at = '2001-05-01' where kind in ('pipeline', 'source')`, [])
    const past = (await ann.ask('/ui/api/pipelines?asOf=2001-07-01T11:57:59Z')).body
    expect(past).toMatchObject({ data: { pipelines: [{ says: '1 process ran it, and 40 messages waited.' }] } })
    expect(past.notes?.at(-1)).toContain('Dead letters that were retried, dropped or forgotten since are missing.')
    const { problems } = (await ann.data('/now')) as { problems: { link: { kind: string } }[] }
    expect(problems.filter(({ link }) => link.kind === 'pipeline')).toEqual([])
  })

  it('has as of a moment the pause and replay of then, and is a problem of that moment', async () => {
    const audited = async (action: string, at: string, after: object | null = null) =>
      await world.db.query(`insert into lockstep.audit_log (at, actor, action, subject, after) values ($1, 'ann', $2, 'score', $3)`, [
        at,
        action,
        after === null ? null : JSON.stringify(after),
      ])
    await audited('pipeline.pause', '2001-06-20T10:00:00Z')
    await audited('pipeline.replay', '2001-06-20T11:00:00Z', { generation: 1, from: '2001-06-19T00:00:00Z' })
    await audited('pipeline.resume', '2001-06-20T12:00:00Z')
    expect(await shown('?asOf=2001-06-20T10:30:00Z')).toMatchObject({
      pipeline: { state: 'paused', says: 'It was paused. Messages stayed in their stream.' },
      replays: 0,
      group: 'lockstep_pipeline_score',
    })
    expect(await shown('?asOf=2001-06-20T13:00:00Z')).toMatchObject({
      pipeline: { state: 'no worker' },
      replays: 1,
      replayedFrom: '2001-06-19T00:00:00Z',
      group: 'lockstep_pipeline_score_r1',
    })
    const wrong = async (query: string) => {
      const { problems } = (await ann.data(`/now${query}`)) as { problems: { what: string; consequences: { what: string }[] }[] }
      return problems
        .map(({ what, consequences }) => [what, ...consequences.map((each) => each.what)])
        .filter((all) => all.join().includes('pipeline'))
    }
    expect(await wrong('?asOf=2001-06-20T10:31:00Z')).toEqual([['The pipeline "score" was paused.']])
    expect(await wrong('?asOf=2001-06-20T13:01:00Z')).toEqual([['The pipeline "score" did not run.']])
    // what processes did is kept for 30 days
    expect(await shown('?asOf=2001-05-20T10:00:00Z')).toMatchObject({ pipeline: { state: 'not recorded' } })
    expect(await wrong('?asOf=2001-05-20T10:01:00Z')).toEqual([])
    await world.db.query(`delete from lockstep.audit_log where at < '2002-01-01'`, [])
  })

  it('follows from a missing worker, if no process runs it', async () => {
    await world.db.query(`update lockstep.pipeline_minutes set seen_at = seen_at - interval '1 hour'`, [])
    await expect
      .poll(async () => {
        const { problems } = (await ann.data('/now')) as { problems: { id: string; consequences: { link: object }[] }[] }
        return problems.find(({ id }) => id === 'worker')?.consequences.map(({ link }) => link)
      })
      .toEqual([{ kind: 'pipeline', id: 'score' }])
    await world.db.query(`update lockstep.pipeline_minutes set seen_at = seen_at + interval '1 hour'`, [])
  })

  it('is paused, resumed and replayed by the state that the page shows', async () => {
    const { revision } = await shown()
    expect(await ann.post('/pipelines/score/pause', { reason: 'repair' }, revision)).toMatchObject({ status: 200 })
    expect((await shown()).pipeline).toMatchObject({ state: 'paused' })
    expect(await ann.post('/pipelines/score/resume', { reason: 'older page' }, revision)).toMatchObject({ status: 412 })
    expect(await ann.post('/pipelines/score/resume', { reason: 'repaired' }, (await shown()).revision)).toMatchObject({ status: 200 })
    const from = { from: '2001-07-01T11:00:00Z', reason: 'again' }
    // this server knows no server of streams
    const replayed = await ann.post('/pipelines/score/replay', from, (await shown()).revision)
    expect(replayed.body.error).toMatchObject({ message: expect.stringContaining('LOCKSTEP_STREAM_REDIS_URL') as string })
    const { records } = (await ann.data('/audit')) as { records: { what: string; reason: string }[] }
    expect(records.slice(0, 2).map(({ what, reason }) => [what, reason])).toEqual([
      ['pipeline.resume', 'repaired'],
      ['pipeline.pause', 'repair'],
    ])
  })
})
