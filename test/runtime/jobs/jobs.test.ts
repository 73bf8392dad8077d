import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { readAudit } from '../../../runtime/audit.ts'
import { awaitJob, jobFailure } from '../../../runtime/jobs/await-job.ts'
import { cancelJob, endJob, retryJob } from '../../../runtime/jobs/end-job.ts'
import { createScheduleFirer } from '../../../runtime/jobs/fire-schedules.ts'
import { endAbandonedJobs, forgetJobs } from '../../../runtime/jobs/forget-jobs.ts'
import { registerJobGauges } from '../../../runtime/jobs/job-gauges.ts'
import type { JobKind } from '../../../runtime/jobs/job-kind.ts'
import { readJob, readJobs, readSteps } from '../../../runtime/jobs/read-jobs.ts'
import { claimStep, finishChunk, renewLease, unknownKinds } from '../../../runtime/jobs/steps.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { openBehind } from '../../open-behind.ts'
import { during, openEmbedded, openServer } from '../../opened-database.ts'
import { unlessStalled } from '../../unless-slow.ts'
import { hiredWorkers } from './hired-workers.ts'
import { numbers } from './number-kind.ts'

const minute = 60_000_000
const by = { actor: 'ada@test' }
const wait = { timeout: 60_000 }

describe.each([
  ['PostgreSQL', openServer],
  ['PGlite', openEmbedded],
])('jobs in %s', (_, open) => {
  const opened = during(open)
  const db = () => opened().db
  const { newKind, hire, submit, ended } = hiredWorkers(db)
  const claimable = (id: number) => db().query('UPDATE lockstep.job_chunks SET claimable_at = clock_timestamp() WHERE job = $1', [id])
  const claim = (kind: Pick<JobKind, 'name'>, worker: string) => claimStep(db(), { kinds: [{ kind: kind.name, scope: '' }], worker })

  it('are planned, done chunk by chunk by several workers, and finished once', async () => {
    const runs: [string, number][] = []
    let finishes = 0
    let begin: () => void = () => undefined
    const bothBegan = new Promise<void>((resolve) => (begin = resolve))
    const kind = newKind({
      async run(_job, n, { worker }) {
        runs.push([worker, n])
        if (new Set(runs.map(([name]) => name)).size === 2) begin()
        await bothBegan
        return { n }
      },
      finish: async (job, results, step) => (finishes++, (await numbers.finish?.(job, results, step)) ?? null),
    })
    hire([kind], { concurrency: 2 })
    hire([kind], { concurrency: 2 })
    const id = await submit(kind, 40)
    expect(await ended(id)).toMatchObject({
      state: 'done',
      chunks: 40,
      chunksDone: 40,
      totals: { n: 780 },
      result: { sum: 780, unit: 'apples' },
      plan: { unit: 'apples' },
      workers: [],
      secondsLeft: null,
    })
    expect(runs.map(([, n]) => n).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (__, n) => n))
    expect(new Set(runs.map(([worker]) => worker)).size).toBe(2)
    expect(finishes).toBe(1)
    const data = await db().query(`SELECT DISTINCT data::text AS data FROM lockstep.job_chunks WHERE job = ${id}`)
    expect(data).toEqual([{ data: 'null' }])
  })

  it('without a plan have one chunk, and without chunks are finished at once', async () => {
    const { plan: _, finish: __, ...rest } = numbers
    const single = { ...rest, name: 'without a plan', run: async () => ({ n: 7 }) }
    const none = newKind()
    hire([single, none])
    expect(await ended(await submit(single))).toMatchObject({ state: 'done', chunks: 1, totals: { n: 7 }, result: null })
    expect(await ended(await submit(none, 0))).toMatchObject({ state: 'done', chunks: 0, result: { sum: 0 } })
  })

  it('take turns, so that a small job does not wait for a large one', async () => {
    // they share the time, so a small one whose step took long waits, and may end a few steps later
    const steps = async () => {
      const order: string[] = []
      const kind = newKind({ run: async ({ subject }, n) => (order.push(subject), { n }) })
      const plan = (length: number) => ({ planned: { plan: { unit: 'pears' }, chunks: Array.from({ length }, (__, n) => n) } })
      const jobs = [await submit(kind, 50, { subject: 'large', ...plan(50) }), await submit(kind, 3, { subject: 'small', ...plan(3) })]
      hire([kind])
      await Promise.all(jobs.map(ended))
      expect(order.lastIndexOf('small')).toBeLessThan(order.length - 10)
    }
    await unlessStalled(50, steps, () => db().query('SELECT 1'))
  })

  it('of an urgent kind do not wait for a step of another kind', async () => {
    let end: () => void = () => undefined
    const urgentEnded = new Promise<void>((resolve) => (end = resolve))
    let began: () => void = () => undefined
    const slowBegan = new Promise<void>((resolve) => (began = resolve))
    const slow = newKind({ run: async (_job, n) => (began(), await urgentEnded, { n }) })
    const urgent = newKind({ urgent: true })
    hire([slow, urgent])
    const long = await submit(slow, 1)
    await slowBegan
    await ended(await submit(urgent, 1)).finally(end)
    expect(await ended(long)).toMatchObject({ state: 'done' })
  })

  it('of one key are joined while they run, and of one instant always', async () => {
    const kind = newKind()
    const spec = { upTo: 1 }
    const first = await submitJob(db(), kind, { spec, subject: 's', worker: 'w', key: 'k', moment: minute })
    const same = { spec, subject: 's', worker: 'w', key: 'k' }
    expect(await submitJob(db(), kind, { ...same, moment: 2 * minute })).toEqual({ id: first?.id, joined: true })
    expect((await submitJob(db(), kind, { ...same, key: 'other' }))?.joined).toBe(false)
    expect((await submitJob(db(), kind, { ...same, scope: 'other' }))?.joined).toBe(false)
    hire([kind])
    await ended(first?.id ?? 0)
    expect(await submitJob(db(), kind, { ...same, moment: minute })).toEqual({ id: first?.id, joined: true })
    expect((await submitJob(db(), kind, { ...same, moment: 2 * minute }))?.joined).toBe(false)
  })

  it('are refused at once if their spec does not match their kind', async () => {
    const refused = submitJob(db(), newKind(), { spec: { upTo: 'three' } as never, subject: 's', worker: 'w' })
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('upTo') as string })
  })

  it('fail if the worker does not know the stored spec', async () => {
    const kind = newKind()
    const id = await submit(kind)
    hire([{ ...kind, spec: z.object({ downTo: z.int() }) }])
    expect(await ended(id)).toMatchObject({ state: 'failed', error: { code: 'INVALID_REQUEST' } })
  })

  it('of a kind unknown to all workers wait, with one log entry', async () => {
    const newer = newKind()
    const id = await submit(newer)
    const known = newKind()
    const { events } = hire([known], { known: [known.name] })
    const other = await submit(known)
    await ended(other)
    await expect.poll(() => events, wait).toContainEqual({ type: 'unknown kind', kind: newer.name })
    expect(await readJob(db(), id)).toMatchObject({ state: 'running', chunksDone: 0, workers: [] })
    expect(events.filter((event) => event.type === 'unknown kind' && event.kind === newer.name)).toHaveLength(1)
    expect(await unknownKinds(db(), [known.name])).toContain(newer.name)
  })

  it('move to another worker if the heartbeat of the first has stopped', async () => {
    const kind = newKind()
    const id = await submit(kind, 1, { planned: { plan: { unit: 'u' }, chunks: [5] } })
    const stuck = await claim(kind, 'stuck')
    expect(stuck).toMatchObject({ step: 'chunk', number: 0, data: 5, attempt: 0 })
    expect(await claim(kind, 'early')).toBeNull()
    expect((await readJob(db(), id)).workers).toEqual(['stuck'])
    // its lease runs out
    await claimable(id)
    const next = await claim(kind, 'next')
    expect(next).toMatchObject({ data: 5, attempt: 1 })
    if (stuck === null || next === null) throw new Error('not claimed')
    expect(await renewLease(db(), stuck, null)).toBe(false)
    expect(await finishChunk(db(), stuck, { n: 1000 })).toBe(false)
    const doing = { what: 'peeling', done: 3, total: 6 }
    expect(await renewLease(db(), next, 0.5, doing)).toBe(true)
    expect(await readJob(db(), id)).toMatchObject({ workers: ['next'], doing })
    expect(await readSteps(db(), id)).toMatchObject([{ worker: 'next', atWork: true, progress: 0.5, attempts: 2 }])
    expect(await finishChunk(db(), next, { n: 5 })).toBe(true)
    expect(await readJob(db(), id)).toMatchObject({ chunksDone: 1, totals: { n: 5 }, doing: null })
  })

  it('that fail wait longer each time, and fail for good after their last attempt', async () => {
    const attempts: number[] = []
    const kind = newKind({
      run: (__, ___, { attempt }) => (attempts.push(attempt), Promise.reject(new Error('no room'))),
    })
    const { events } = hire([kind])
    const id = await submit(kind, 1)
    for (const seconds of [60, 120]) {
      await expect.poll(async () => (await readSteps(db(), id)).find(({ step }) => step === 'chunk')?.error?.message, wait).toBe('no room')
      const [backOff] = await db().query<{ seconds: number }>(
        `SELECT extract(epoch FROM claimable_at - clock_timestamp())::float8 AS seconds FROM lockstep.job_chunks WHERE job = ${id} AND step = 'chunk'`,
      )
      expect(backOff?.seconds).toBeGreaterThan(seconds - 30)
      expect(backOff?.seconds).toBeLessThanOrEqual(seconds)
      // the back-off is over
      await db().query(`UPDATE lockstep.job_chunks SET claimable_at = clock_timestamp(), error = NULL WHERE job = ${id} AND state = 'open'`)
    }
    const job = await ended(id)
    expect(attempts).toEqual([0, 1, 2])
    expect(job).toMatchObject({ state: 'failed', error: { code: 'INTERNAL', details: { attempts: 3 } } })
    expect(jobFailure(job)?.message).toMatch(/^Chunk 0 of 1 failed 3 times: no room\. /)
    expect(events.flatMap((event) => ('what' in event && event.what.startsWith('chunk') ? [event.type] : []))).toEqual([
      'taken',
      'handed back',
      'taken',
      'handed back',
      'taken',
      'failed',
    ])
  })

  it('whose worker dies each time finally fail, with a reason', async () => {
    const kind = newKind()
    const id = await submit(kind, 1, { planned: { plan: { unit: 'u' }, chunks: [5] } })
    for (const attempt of [0, 1, 2]) {
      expect(await claim(kind, 'dies')).toMatchObject({ attempt })
      await claimable(id)
    }
    hire([kind])
    expect((await ended(id)).error?.message).toMatch(/failed 3 times: its worker stopped responding/)
  })

  it('end at once with an error common to all workers; a retry plans them again', async () => {
    let broken = true
    const kind = newKind({
      run: async (__, n) => {
        if (broken && n === 1) throw new LockstepError('INVALID_ROW', 'The row "1" is wrong; correct it.', { details: { row: 1 } })
        return { n }
      },
    })
    hire([kind])
    const id = await submit(kind)
    const failed = await ended(id)
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'INVALID_ROW', details: { row: 1 } } })
    expect(jobFailure(failed)).toMatchObject({ code: 'INVALID_ROW', message: 'The row "1" is wrong; correct it.' })
    broken = false
    await retryJob(db(), id, by)
    expect(await ended(id)).toMatchObject({ state: 'done', error: null, result: { sum: 3 } })
    await expect(retryJob(db(), id, by)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await expect(retryJob(db(), 999_999, by)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await readAudit(db(), { what: 'job.retry', limit: 1 })).toMatchObject([
      { actor: 'ada@test', subject: 'some numbers', before: { state: 'failed' }, after: { job: id, kind: kind.name } },
    ])
  })

  it('are cancelled while their chunks are added, and their leftovers removed', async () => {
    const cleaned: unknown[] = []
    let add: () => void = () => undefined
    const isCancelled = new Promise<void>((resolve) => (add = resolve))
    const kind = newKind({
      plan: async () => ({
        plan: { unit: 'plums' },
        chunks: (async function* () {
          yield [1, 2]
          await isCancelled
          yield [3, 4]
        })(),
      }),
      run: (__, n, { signal }) => (n === 1 ? Promise.resolve({ n }) : setTimeout(60_000, { n }, { signal })),
      clean: async ({ plan }, results) => void cleaned.push(plan, results),
    })
    const { events } = hire([kind], { concurrency: 2 })
    const id = await submit(kind)
    await expect
      .poll(() => readJob(db(), id))
      .toMatchObject({ chunks: 2, chunksDone: 1, workers: [expect.any(String), expect.any(String)] })
    expect(await cancelJob(db(), id, { ...by, reason: 'too many' })).toBe(true)
    expect(await cancelJob(db(), id, by)).toBe(false)
    add()
    await expect.poll(() => cleaned, wait).toEqual([{ unit: 'plums' }, [{ n: 1 }, null]])
    await expect.poll(() => events.filter(({ type }) => type === 'lost'), wait).toHaveLength(2)
    const steps = async () => (await readSteps(db(), id)).map(({ step, state }) => `${step} ${state}`).toSorted()
    await expect.poll(steps, wait).toEqual(['chunk closed', 'chunk done', 'clean done', 'plan closed'])
    expect(jobFailure(await readJob(db(), id))).toMatchObject({ code: 'STOPPED' })
    const [line] = await readAudit(db(), { what: 'job.cancel', limit: 1 })
    expect(line).toMatchObject({ actor: 'ada@test', reason: 'too many', after: { job: id } })
    await retryJob(db(), id, by)
    expect(await readJob(db(), id)).toMatchObject({ state: 'running', chunks: 0 })
    await cancelJob(db(), id, by)
  })

  it('clean up ever more rarely while that fails, until they are retried or old', async () => {
    let isDown = true
    let cleans = 0
    const kind = newKind({
      backoffSeconds: { from: 0.01, to: 0.02 },
      clean() {
        cleans++
        return isDown ? Promise.reject(new LockstepError('STORAGE_UNAVAILABLE', 'The bucket does not answer.')) : Promise.resolve()
      },
    })
    const id = await submit(kind)
    await cancelJob(db(), id, by)
    const { stop } = hire([kind], { idleMs: 20 })
    const clean = async () => (await readSteps(db(), id)).find(({ step }) => step === 'clean')
    const waits = async () => Math.round(((await clean())?.claimableAt?.getTime() ?? 0) / 1000 - Date.now() / 1000)
    await expect.poll(async () => (await clean())?.error?.code, wait).toBe('STORAGE_UNAVAILABLE')
    await db().query(`UPDATE lockstep.job_chunks SET attempts = 40, claimable_at = clock_timestamp() WHERE job = ${id} AND state = 'open'`)
    await expect.poll(waits, wait).toBeGreaterThan(3_000)
    expect(await waits()).toBeLessThanOrEqual(3_600)

    const before = cleans
    const busy = { code: 'BUSY', message: expect.stringContaining('It failed before: The bucket does not answer.') as string }
    await expect(retryJob(db(), id, by)).rejects.toMatchObject(busy)
    await expect.poll(() => cleans, wait).toBe(before + 1)
    // handed back again
    await expect.poll(waits, wait).toBeGreaterThan(3_000)
    expect(await forgetJobs(db())).toBe(0)
    expect(await clean()).toMatchObject({ state: 'open' })
    await db().query(`UPDATE lockstep.jobs SET finished_at = clock_timestamp() - interval '31 days' WHERE id = ${id}`)
    expect(await forgetJobs(db())).toBe(0)
    expect(await clean()).toMatchObject({ state: 'closed' })

    await retryJob(db(), id, by)
    await ended(id)
    await stop()
    const other = await submit(kind)
    await cancelJob(db(), other, by)
    await expect(retryJob(db(), other, by)).rejects.toMatchObject({ code: 'BUSY' })
    isDown = false
    hire([kind], { idleMs: 20 })
    await expect.poll(() => retryJob(db(), other, by).then(() => 'retried', messageOf), wait).toBe('retried')
  })

  it('drop what a chunk has left whose job was cancelled before it was written down', async () => {
    const dropped: unknown[] = []
    const kind = newKind({
      async run({ id }, n) {
        await cancelJob(db(), id, by)
        return { n }
      },
      clean: () => Promise.resolve(),
      drop: async (_job, result) => void dropped.push(result),
    })
    hire([kind])
    const id = await submit(kind, 1)
    await expect.poll(() => dropped, wait).toEqual([{ n: 0 }])
    expect((await ended(id)).state).toBe('cancelled')
  })

  it('have left nothing once their only worker process has awaited them', async () => {
    const cleaned: number[] = []
    let begin: () => void = () => undefined
    const began = new Promise<void>((resolve) => (begin = resolve))
    const kind = newKind({
      async run(_job, n, { signal }) {
        begin()
        await once(signal, 'abort')
        await setTimeout(300) // it does not stop at once
        return { n }
      },
      clean: async ({ id }) => void cleaned.push(id),
    })
    const id = await submit(kind, 1)
    const awaited = awaitJob(db(), id, { signal: AbortSignal.timeout(60_000), work: { kinds: [kind], worker: 'alone' } })
    await began
    await cancelJob(db(), id, by)
    expect([(await awaited).state, cleaned]).toEqual(['cancelled', [id]])
    expect((await readSteps(db(), id)).filter(({ state }) => state === 'open')).toEqual([])
  })

  it('cannot be cancelled while a worker is at their finish', async () => {
    let go: () => void = () => undefined
    const isTime = new Promise<void>((resolve) => (go = resolve))
    const kind = newKind({ finish: async () => (await isTime, { sum: 0 }) })
    const { events } = hire([kind])
    const id = await submit(kind, 1)
    await expect
      .poll(() => events.flatMap((event) => ('what' in event ? [`${event.type} ${event.what}`] : [])), wait)
      .toContain(`taken the step "finish" of ${kind.name} ${id} (some numbers)`)
    await expect(cancelJob(db(), id, by)).rejects.toMatchObject({ code: 'BUSY' })
    go()
    expect(await ended(id)).toMatchObject({ state: 'done' })
  })

  it('are handed back by a worker that is stopped, which uses up no attempt', async () => {
    const kind = newKind({ retries: 0, run: (__, n, { signal }) => setTimeout(60_000, { n }, { signal }) })
    const id = await submit(kind, 1)
    const first = hire([kind])
    await expect
      .poll(() => first.events)
      .toContainEqual(expect.objectContaining({ type: 'taken', what: `chunk 0 of 1 of ${kind.name} ${id} (some numbers)` }))
    await first.stop()
    expect(first.events.at(-1)).toMatchObject({ type: 'handed back' })
    hire([{ ...kind, run: numbers.run }])
    expect(await ended(id)).toMatchObject({ state: 'done' })
  })

  it('of a schedule exist once per instant, for any number of workers', async () => {
    const runs: (number | null)[] = []
    const kind = newKind({
      run: async ({ moment }, n) => (runs.push(moment), { n }),
      schedules: async () => [{ key: 'each minute', subject: 'the numbers', cron: '* * * * *', spec: { upTo: 1 } }],
    })
    const jobs = () => readJobs(db(), { kind: kind.name })
    const firers = Array.from({ length: 5 }, () => createScheduleFirer(db(), [kind], 'w'))
    const fire = (now: number) => Promise.all(firers.map((firer) => firer.fire(now)))
    await fire(100 * minute + 5)
    await fire(100 * minute + 6)
    expect((await jobs()).map(({ moment, subject }) => [moment, subject])).toEqual([[100 * minute, 'the numbers']])
    // the first still waits
    await fire(101 * minute)
    expect(await jobs()).toHaveLength(1)
    let now = 101 * minute
    const clock = () => now
    for (let i = 0; i < 3; i++) hire([kind], { clock, idleMs: 20 })
    await expect.poll(() => runs, wait).toEqual([100 * minute, 101 * minute])
    // two instants are missed
    now = 104 * minute + 1
    await expect.poll(() => runs, wait).toEqual([100 * minute, 101 * minute, 104 * minute])
  })

  it('are counted by kind and state for Prometheus', async () => {
    const kind = newKind()
    const registry = new Registry()
    registerJobGauges(registry, async () => db())
    const counts = async (): Promise<(string | undefined)[]> => {
      const text = await registry.metrics()
      return ['running', 'waiting', 'failed'].map((state) =>
        text.split(`lockstep_jobs{kind="${kind.name}",state="${state}"} `)[1]?.charAt(0),
      )
    }
    const planned = { plan: { unit: 'u' }, chunks: [1] }
    await submit(kind, 1, { planned })
    const failed = await submit(kind, 1, { planned })
    await endJob(db(), failed, 'failed')
    // by the first scrape
    expect(await registry.metrics()).toMatch(new RegExp(`lockstep_jobs_oldest_waiting_seconds\\{kind="${kind.name}"\\} \\d{1,3}\\.\\d+`))
    expect(await counts()).toEqual(['0', '1', '1'])
    await claim(kind, 'w')
    expect(await counts()).toEqual(['1', '0', '1'])
  })

  it('are listed with the newest of each subject alone, up to a moment', async () => {
    const kind = newKind()
    const ids: number[] = []
    for (const subject of ['a', 'a', 'b', 'a']) {
      const id = await submit(kind, 1, { subject, key: String(ids.length) })
      await db().query(`UPDATE lockstep.jobs SET submitted_at = to_timestamp(${1_000 + ids.length}) WHERE id = ${id}`)
      ids.push(id)
    }
    await endJob(db(), ids[3] as number, 'failed')
    const newest = async (untilSeconds?: number) => {
      const until = untilSeconds === undefined ? undefined : untilSeconds * 1e6
      return (await readJobs(db(), { kind: kind.name, newest: true, until })).map(({ id }) => id)
    }
    expect(await newest()).toEqual([ids[2], ids[3]])
    expect(await newest(1_002)).toEqual([ids[2], ids[1]])
  })

  it('of an unused store are cancelled after a week', async () => {
    const kind = newKind()
    const [old, fresh] = [await submit(kind, 1, { scope: 'emptied' }), await submit(kind, 2, { scope: 'emptied' })]
    await db().query(`UPDATE lockstep.job_chunks SET claimable_at = clock_timestamp() - interval '8 days' WHERE job = ${old}`)
    expect(await endAbandonedJobs(db())).toBe(1)
    expect((await readJobs(db(), { kind: kind.name })).map(({ id, state }) => [id, state])).toEqual([
      [fresh, 'running'],
      [old, 'cancelled'],
    ])
  })

  it('of a trainer that no worker has fail after a week, and say what to do', async () => {
    const id = await submit(newKind(), 1, { scope: 'train_fraud.py' })
    await db().query(`UPDATE lockstep.jobs SET kind = 'training' WHERE id = ${id}`)
    await db().query(`UPDATE lockstep.job_chunks SET claimable_at = clock_timestamp() - interval '8 days' WHERE job = ${id}`)
    expect(await endAbandonedJobs(db())).toBe(1)
    const message = expect.stringMatching(/the trainer "train_fraud\.py" .* LOCKSTEP_TRAINERS .* "lockstep job retry \d+"/) as string
    expect(await readJob(db(), id)).toMatchObject({ state: 'failed', error: { code: 'TRAINER_MISSING', message } })
  })

  it('stay in the history for the time of their kind, and the newest of a key always', async () => {
    const kind = newKind({ keepDays: 2 })
    const { stop } = hire([kind])
    const ids: number[] = []
    for (const key of ['a', 'a', 'a', 'b']) {
      const id = await submit(kind, 1, { key })
      await ended(id)
      ids.push(id)
    }
    await stop()
    const age = (id: number | undefined, hours: number) =>
      db().query(`UPDATE lockstep.jobs SET finished_at = clock_timestamp() - interval '${hours} hours' WHERE id = ${id}`)
    await age(ids[0], 49)
    await age(ids[1], 47)
    await age(ids[3], 1000)
    const [early, late] = [await submit(kind, 1, { key: 'f' }), await submit(kind, 1, { key: 'g' })]
    for (const id of [early, late]) await endJob(db(), id, 'failed')
    for (const key of ['f', 'g']) await submit(kind, 1, { key })
    await age(early, 29 * 24)
    await age(late, 31 * 24)
    expect(await forgetJobs(db())).toBe(2)
    expect((await readJobs(db(), { kind: kind.name, state: 'failed' })).map(({ id }) => id)).toEqual([early])
    expect((await readJobs(db(), { kind: kind.name, state: 'done' })).map(({ id }) => id)).toEqual([ids[3], ids[2], ids[1]])
    expect(await db().query(`SELECT FROM lockstep.job_chunks WHERE job = ${ids[0]}`)).toEqual([])
  })
})

it('jobs of a schedule wait for their instant if the clock of a worker is ahead', async () => {
  const { db, url, close } = await openServer()
  const behind = await openBehind(url, db)
  const schedules = async () => [{ key: 'each hour', subject: 'the numbers', cron: '0 * * * *', spec: { upTo: 1 } }]
  const stop = new AbortController()
  const working = workOnJobs(behind, { kinds: [{ ...numbers, schedules }], worker: 'ahead', signal: stop.signal, idleMs: 20 })
  await expect.poll(() => readJobs(db, { kind: numbers.name }), wait).toHaveLength(1)
  stop.abort()
  await working
  const [job] = await readJobs(db, { kind: numbers.name })
  expect(job?.moment).toBeLessThanOrEqual((Date.now() - 7_200_000) * 1000)
  await behind.close()
  await close()
})
