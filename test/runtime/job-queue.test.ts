import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import { isEmbedded } from '../../runtime/database.ts'
import type { JobQueue } from '../../runtime/job-queue.ts'
import { openEmbeddedJobQueue, openJobQueue } from '../../runtime/job-queue.ts'
import type { JobEvent, JobKind } from '../../runtime/work-on-jobs.ts'
import { workOnJobs } from '../../runtime/work-on-jobs.ts'
import { openEmbedded, openServer } from '../opened-database.ts'

const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const options = { heartbeatSeconds: 10, retries: 1, backoffSeconds: { from: 1, to: 1 } }

async function onPostgres() {
  const { url, close } = await openServer()
  return { jobs: await openJobQueue({ postgresUrl: url }), close }
}

async function onPglite() {
  const { db, close } = await openEmbedded()
  if (!isEmbedded(db)) throw new Error('not embedded')
  return { jobs: await openEmbeddedJobQueue(db), close }
}

describe.each([
  ['PostgreSQL', onPostgres],
  ['PGlite', onPglite],
])('jobs in %s', (_, open) => {
  let jobs: JobQueue
  let close: () => Promise<void>
  beforeAll(async () => {
    const opened = await open()
    jobs = opened.jobs
    close = async () => {
      await jobs.close()
      await opened.close()
    }
  })
  afterAll(() => close?.())

  const work = async (queue: string, kind: Partial<JobKind>, until: (events: readonly JobEvent[]) => boolean): Promise<JobEvent[]> => {
    const stop = new AbortController()
    const events: JobEvent[] = []
    const whole: JobKind = {
      prefix: queue,
      isWanted: async () => true,
      work: async () => null,
      describe: (data) => JSON.stringify(data),
      ...kind,
    }
    await workOnJobs(jobs, {
      kinds: [whole],
      signal: stop.signal,
      onEvent(event) {
        events.push(event)
        if (until(events)) stop.abort()
      },
    })
    return events
  }
  const ended = (count: number) => (events: readonly JobEvent[]) => events.filter(({ kind }) => kind !== 'taken').length === count

  it('are there once for an id, also after they are done', async () => {
    await jobs.create('once', options)
    await jobs.create('once', options)
    await jobs.add('once', [{ data: { n: 1 }, id: id(1) }])
    await jobs.add('once', [
      { data: { n: 2 }, id: id(1) },
      { data: { n: 3 }, id: id(2) },
    ])
    const done = await work('once', {}, ended(2))
    expect(done.filter(({ kind }) => kind === 'done')).toMatchObject([{ job: '{"n":1}' }, { job: '{"n":3}' }])
    await jobs.add('once', [{ data: { n: 4 }, id: id(2) }])
    expect(await jobs.take('once')).toBeNull()
    await jobs.remove('once')
    expect(await jobs.queues()).not.toContain('once')
  })

  it('of one key are held one at a time', async () => {
    await jobs.create('keyed', { ...options, oneByKey: true })
    await jobs.add('keyed', [
      { data: { n: 1 }, key: 'a' },
      { data: { n: 2 }, key: 'a' },
      { data: { n: 3 }, key: 'b' },
    ])
    const held = [await jobs.take('keyed'), await jobs.take('keyed'), await jobs.take('keyed')]
    expect(held.map((job) => job?.data)).toEqual([{ n: 1 }, { n: 3 }, undefined])
    await held[0]?.finish(null)
    const next = await jobs.take('keyed')
    expect(next?.data).toEqual({ n: 2 })
    await next?.finish(null)
    await held[1]?.finish(null)
  })

  it('that fail are tried again, and then kept as dead letters', async () => {
    await jobs.create('failing', options)
    await jobs.add('failing', [{ data: { n: 1 }, id: id(3) }])
    const attempts: number[] = []
    const failing: Partial<JobKind> = {
      work({ attempt }) {
        attempts.push(attempt)
        return Promise.reject(new LockstepError('INVALID_ROW', 'thirteen'))
      },
    }
    const events = await work('failing', failing, ended(2))
    expect(events.map(({ kind }) => kind)).toEqual(['taken', 'handed back', 'taken', 'handed back'])
    expect(attempts).toEqual([0, 1])
    expect(await jobs.failures('failing')).toMatchObject([{ data: { n: 1 }, why: 'thirteen', attempts: 2 }])
    expect(await jobs.take('failing')).toBeNull()
  })

  it('that nobody else could do either end at once where their kind takes note of it', async () => {
    await jobs.create('refused', options)
    await jobs.add('refused', [{ data: { n: 1 } }])
    const events = await work(
      'refused',
      { work: () => Promise.reject(new LockstepError('INVALID_ROW', 'no')), refuse: async () => null },
      ended(1),
    )
    expect(events.map(({ kind }) => kind)).toEqual(['taken', 'refused'])
    expect(await jobs.failures('refused')).toEqual([])
  })

  it('are handed back where the work is stopped, and not taken from a queue that nobody wants', async () => {
    await jobs.create('stopped', options)
    await jobs.add('stopped', [{ data: { n: 1 } }])
    const waiting: Partial<JobKind> = {
      work: (_job, signal) => setTimeout(60_000, null, { signal }),
    }
    const events = await work('stopped', waiting, (all) => all.length === 1)
    expect(events.map(({ kind }) => kind)).toEqual(['taken', 'handed back'])
    await jobs.create('wanted', options)
    await jobs.add('wanted', [{ data: { n: 2 } }])
    const unwanted: JobKind = { prefix: 'stopped', isWanted: async () => false, work: async () => null, describe: String }
    const stop = new AbortController()
    const taken: JobEvent[] = []
    const wanted: JobKind = { ...unwanted, prefix: 'wanted', isWanted: async () => true }
    const onEvent = (event: JobEvent): void => {
      taken.push(event)
      if (event.kind === 'done') void setTimeout(1_500).then(() => stop.abort())
    }
    await workOnJobs(jobs, { kinds: [unwanted, wanted], signal: stop.signal, onEvent })
    expect(taken.map((event) => ('queue' in event ? event.queue : ''))).toEqual(['wanted', 'wanted'])
    await expect.poll(async () => (await jobs.take('stopped'))?.attempt).toBe(1)
  })

  it('wait untouched while the store that they need is down, and others go on meanwhile', async () => {
    for (const queue of ['away', 'beside']) {
      await jobs.create(queue, options)
      await jobs.add(queue, [{ data: { n: 1 } }])
    }
    const stop = new AbortController()
    const ends: [string, number][] = []
    const kind: Omit<JobKind, 'prefix'> = {
      isWanted: async () => true,
      async work({ queue, attempt }) {
        ends.push([queue, attempt])
        if (ends.length === 2) stop.abort()
        return null
      },
      describe: String,
    }
    const isWanted = async (): Promise<boolean> => {
      if (ends.length > 0) return true
      throw new LockstepError('REDIS_UNAVAILABLE', 'The online store is down.')
    }
    await workOnJobs(jobs, {
      kinds: [
        { ...kind, prefix: 'away', isWanted },
        { ...kind, prefix: 'beside' },
      ],
      signal: stop.signal,
    })
    expect(ends).toEqual([
      ['beside', 0],
      ['away', 0],
    ])
  })
})

describe('locks', () => {
  it.each([
    ['PostgreSQL', openServer],
    ['PGlite', openEmbedded],
  ])('of %s can be tried for', async (_, open) => {
    const { db, close } = await open()
    const release = await db.tryLock(7, 1)
    expect(await db.tryLock(7, 1)).toBeNull()
    const other = await db.tryLock(7, 2)
    await release?.()
    const again = await db.tryLock(7, 1)
    expect([release, other, again]).not.toContain(null)
    await other?.()
    await again?.()
    await close()
  })
})

it('removes a queue to which jobs are added meanwhile', async () => {
  const { url, close } = await openServer()
  const [jobs, others] = await Promise.all([openJobQueue({ postgresUrl: url }), openJobQueue({ postgresUrl: url })])
  for (let round = 0; round < 30; round++) {
    await Promise.all([jobs, others].map((queue) => queue.create('racing', options)))
    const begun = Array.from({ length: 8 }, (_, i) => others.add('racing', [{ data: { i } }]).catch(() => undefined))
    await Promise.all([jobs.remove('racing'), ...begun])
  }
  await Promise.all([jobs.close(), others.close()])
  await close()
})

it('says what to grant where the schema of jobs may not be made, whatever language the database speaks', async () => {
  const { db, url, close } = await openServer()
  await db.script(`
    create function refuse() returns event_trigger language plpgsql as
      $$ begin raise exception using errcode = '42501', message = 'droit refusé pour la base'; end $$;
    create event trigger refuse on ddl_command_start execute function refuse()`)
  await expect(openJobQueue({ postgresUrl: url })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('grant CREATE') as string,
  })
  await db.script('drop event trigger refuse')
  await close()
})
