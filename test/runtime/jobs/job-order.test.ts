import { describe, expect, it } from 'vitest'
import { readJobs } from '../../../runtime/jobs/read-jobs.ts'
import { claimStep, finishChunk } from '../../../runtime/jobs/steps.ts'
import { createTurns } from '../../../runtime/jobs/turns.ts'
import { during, openEmbedded, openServer } from '../../opened-database.ts'
import { rowsTaken } from '../../rows-taken.ts'
import { hiredWorkers } from './hired-workers.ts'

// In which order jobs are worked on, and listed.

describe.each([
  ['PostgreSQL', openServer],
  ['PGlite', openEmbedded],
])('jobs in %s', (_, open) => {
  const opened = during(open)
  const db = () => opened().db
  const { newKind, submit } = hiredWorkers(db)

  it('share the time, so that short steps do not wait for a long step each time', async () => {
    const kind = newKind()
    const planned = (length: number) => ({ planned: { plan: { unit: 'pears' }, chunks: Array.from({ length }, (__, n) => n) } })
    await submit(kind, 50, { subject: 'long', ...planned(50) })
    await submit(kind, 50, { subject: 'short', ...planned(50) })
    let now = 0
    const turns = createTurns(() => now)
    const order: string[] = []
    while (order.length < 22) {
      const claimed = await claimStep(db(), { kinds: [{ kind: kind.name, scope: '' }], worker: 'w', rests: turns.rests })
      if (claimed === null) break
      const { subject, id } = claimed.job
      order.push(subject)
      const end = turns.begin(id)
      now += subject === 'long' ? 10_500 : 1_000
      end()
      await finishChunk(db(), claimed, { n: 0 })
    }
    const shorts = Array.from({ length: 10 }, () => 'short')
    expect(order).toEqual(['long', ...shorts, 'long', ...shorts])
  })

  it('are listed as of a moment in the order of their states then, page by page', async () => {
    const kind = newKind()
    const ids = await Promise.all([1, 2, 3, 4].map((n) => submit(kind, n)))
    ids.sort((a, b) => a - b)
    await db().query(`UPDATE lockstep.jobs SET submitted_at = to_timestamp(1000) WHERE id = ANY ($1::bigint[])`, [ids])
    // the second runs to this day; the first and the third ran then
    for (const [i, finished] of [2_000, null, 2_000, 1_500].entries())
      if (finished !== null)
        await db().query(`UPDATE lockstep.jobs SET state = 'done', finished_at = to_timestamp($2::float8) WHERE id = $1`, [
          ids[i],
          finished,
        ])
    const [first, second, third, fourth] = ids as [number, number, number, number]
    const filter = { kind: kind.name, until: 1_700 * 1e6 }
    const listed = async (more: object) => (await readJobs(db(), { ...filter, ...more })).map(({ id }) => id)
    expect(await listed({})).toEqual([third, second, first, fourth])
    expect(await listed({ until: undefined })).toEqual([second, fourth, third, first])
    expect(await listed({ after: { isFirst: true, id: second } })).toEqual([first, fourth])
    expect(await listed({ after: { isFirst: true, id: first } })).toEqual([fourth])
    expect(await listed({ after: { isFirst: false, id: fourth } })).toEqual([])
  })
})

describe('jobs of several workers', () => {
  const opened = during(openServer)
  const { newKind, submit } = hiredWorkers(() => opened().db)

  it('are claimed although another worker is claiming the only step of the first one', async () => {
    const { db } = opened()
    const kind = newKind()
    const [first, second] = [await submit(kind, 1), await submit(kind, 1)]
    const claim = async (by: Parameters<typeof claimStep>[0]) =>
      (await claimStep(by, { kinds: [{ kind: kind.name, scope: '' }], worker: 'w' }))?.job.id
    const claimed = await db.kysely.transaction().execute(async (kysely) => [await claim({ kysely }), await claim(db)])
    expect(claimed).toEqual([first, second])
    expect(await claim(db)).toBeUndefined()
  })
})

describe('a claim', () => {
  const opened = during(openServer)
  const { newKind, submit } = hiredWorkers(() => opened().db)

  it('reads as many rows whether hundreds or thousands of jobs are open', async () => {
    const { db } = opened()
    const [kind, other] = [newKind(), newKind()]
    for (const each of [other, kind]) await submit(each)
    const kinds = [kind, other].map(({ name }) => ({ kind: name, scope: '' }))
    /** Opens jobs as copies of the first ones, and counts the rows that a claim then reads. */
    const rowsOfClaim = async (jobs: number): Promise<number> => {
      await db.query(
        `WITH copied AS (
           INSERT INTO lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by)
           SELECT kind, subject, scope, spec, state, false, finishes, cleans, lease_seconds, keep_days, submitted_by
           FROM lockstep.jobs, generate_series(1, $2::int) WHERE id IN (SELECT min(id) FROM lockstep.jobs WHERE kind = ANY ($1) GROUP BY kind) RETURNING id)
         INSERT INTO lockstep.job_chunks (job, step, number, state, data) SELECT id, 'chunk', 0, 'open', 'null' FROM copied`,
        [kinds.map((each) => each.kind), jobs],
      )
      await db.script('ANALYZE lockstep.jobs; ANALYZE lockstep.job_chunks')
      return await rowsTaken(db, async ({ kysely }) => expect(await claimStep({ kysely }, { kinds, worker: 'w' })).not.toBeNull())
    }
    const few = await rowsOfClaim(400)
    expect(few).toBeGreaterThan(0)
    expect(await rowsOfClaim(4000)).toBeLessThan(few * 1.2)
  })
})
