import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { readSteps } from '../../../runtime/jobs/read-jobs.ts'
import { during, openEmbedded, openServer } from '../../opened-database.ts'
import { hiredWorkers } from './hired-workers.ts'

const wait = { timeout: 60_000 }

describe.each([
  ['PostgreSQL', openServer],
  ['PGlite', openEmbedded],
])('jobs in %s during an outage', (_, open) => {
  const opened = during(open)
  const db = () => opened().db
  const { newKind, hire, submit, ended } = hiredWorkers(db)

  it('are done by other workers if the disk of one is full', async () => {
    const done: string[] = []
    const kind = newKind({
      backoffSeconds: { from: 0.01, to: 0.01 },
      retries: 1,
      async run(_job, n, { worker }) {
        if (worker === 'full') await fillDisk()
        done.push(worker)
        return { n }
      },
    })
    const full = hire([kind], { worker: 'full' })
    const id = await submit(kind, 6)
    await expect
      .poll(() => full.events.find(({ type }) => type === 'handed back'), wait)
      .toMatchObject({
        error: expect.stringContaining('ENOSPC') as string,
      })
    hire([kind], { worker: 'fine' })
    expect(await ended(id)).toMatchObject({ state: 'done', chunks: 6 })
    expect(done).toEqual(['fine', 'fine', 'fine', 'fine', 'fine', 'fine'])
    // one chunk is not tried on the full disk again and again
    expect(full.events.filter(({ type }) => type === 'handed back')).toHaveLength(1)
  })

  it('wait while the store they need is unavailable, and others continue', async () => {
    let isUp = false
    const down = newKind({
      retries: 0,
      scope: async () => {
        if (!isUp) throw new LockstepError('REDIS_UNAVAILABLE', 'The online store is down.')
        return ''
      },
    })
    const beside = newKind()
    const { events } = hire([down, beside], { idleMs: 20 })
    const waits = await submit(down, 1)
    expect(await ended(await submit(beside))).toMatchObject({ state: 'done' })
    await expect.poll(() => events, wait).toContainEqual({ type: 'unavailable', error: 'The online store is down.' })
    expect(await readSteps(db(), waits)).toMatchObject([{ attempts: 0 }])
    isUp = true
    expect(await ended(waits)).toMatchObject({ state: 'done' })
  })

  it('wait while the database has no tables of Lockstep, as while it is restored', async () => {
    const kind = newKind()
    const { events } = hire([kind], { idleMs: 20 })
    expect(await ended(await submit(kind))).toMatchObject({ state: 'done' })
    await db().script('ALTER SCHEMA lockstep RENAME TO elsewhere')
    const message = expect.stringMatching(/^The database lacks tables of Lockstep that it had before.*"lockstep migrate"/) as string
    await expect.poll(() => events, wait).toContainEqual({ type: 'unavailable', error: message })
    await db().script('ALTER SCHEMA elsewhere RENAME TO lockstep')
    expect(await ended(await submit(kind))).toMatchObject({ state: 'done' })
  })

  it('wait while the database is full, use up no attempt, and show the reason', async () => {
    let isFull = true
    const kind = newKind({
      retries: 0,
      backoffSeconds: { from: 0.01, to: 0.02 },
      async run(_job, n) {
        if (isFull) await db().query(diskFull)
        return { n }
      },
    })
    const { events } = hire([kind], { idleMs: 20 })
    const id = await submit(kind, 1)
    await expect.poll(() => events.filter(({ type }) => type === 'handed back').length, wait).toBeGreaterThan(2)
    const chunk = (await readSteps(db(), id)).find(({ step }) => step === 'chunk')
    expect(chunk?.error).toMatchObject({ code: expect.stringMatching(/^(POSTGRES_UNAVAILABLE|WRITE_FAILED)$/) as string })
    expect(chunk?.error?.message).toMatch(/^The (database has no free disk space|disk of the folder ".*" is full)/)
    expect(Date.parse(String(chunk?.error?.details?.['waitingSince']))).toBeLessThan(Date.now())
    isFull = false
    expect(await ended(id)).toMatchObject({ state: 'done' })
  })

  it('fail if an outage lasts for a day, with the time of its begin', async () => {
    const kind = newKind({ retries: 0, run: () => Promise.reject(new LockstepError('STORAGE_UNAVAILABLE', 'The bucket does not answer.')) })
    const planned = { plan: { unit: 'u' }, chunks: [5] }
    const id = await submit(kind, 1, { planned })
    await db().query(`UPDATE lockstep.job_chunks SET error = $1 WHERE job = ${id}`, [
      JSON.stringify({ code: 'STORAGE_UNAVAILABLE', message: 'It did not then.', details: { waitingSince: '2026-01-01T00:00:00.000Z' } }),
    ])
    hire([kind])
    expect(await ended(id)).toMatchObject({
      state: 'failed',
      error: { code: 'STORAGE_UNAVAILABLE', details: { waitingSince: '2026-01-01T00:00:00.000Z' } },
    })
  })

  it('use up no attempt if the database cannot note their failure', async () => {
    let isDown = true
    const kind = newKind({
      retries: 0,
      backoffSeconds: { from: 0.01, to: 0.01 },
      async run(_job, n) {
        if (isDown) throw new LockstepError('STORAGE_UNAVAILABLE', 'The bucket does not answer.')
        return { n }
      },
    })
    await db().script(`
      CREATE SEQUENCE refused;
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval('refused'); RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
      CREATE TRIGGER full_disk BEFORE UPDATE ON lockstep.job_chunks FOR EACH ROW WHEN (NEW.error IS NOT NULL) EXECUTE FUNCTION refuse()`)
    const id = await submit(kind, 1, { planned: { plan: { unit: 'u' }, chunks: [5] } })
    hire([kind], { idleMs: 20 })
    await expect.poll(() => db().query('SELECT is_called AS refused FROM refused'), wait).toEqual([{ refused: true }])
    isDown = false
    await db().script('DROP TRIGGER full_disk ON lockstep.job_chunks; DROP FUNCTION refuse; DROP SEQUENCE refused')
    expect(await ended(id)).toMatchObject({ state: 'done' })
  })
})

/** Fails as a write does on a full disk of the database. */
const diskFull = `DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$`

/** Fails as a spool does on a full disk. */
async function fillDisk(): Promise<void> {
  await writeFile('/dev/full', 'x').catch((cause: unknown) => {
    throw new LockstepError('WRITE_FAILED', `A temporary file cannot be written: ${messageOf(cause)}. Free space there.`, { cause })
  })
}
