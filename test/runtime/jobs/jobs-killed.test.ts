import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { awaitJob } from '../../../runtime/jobs/await-job.ts'
import { cancelJob } from '../../../runtime/jobs/end-job.ts'
import { readJob } from '../../../runtime/jobs/read-jobs.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import { programFile } from '../../cli/run-lockstep.ts'
import { bareEnvironment } from '../../bare-environment.ts'
import { during, openServer } from '../../opened-database.ts'
import { numbers } from './number-kind.ts'

const opened = during(openServer)
/** The lease of a worker that is killed runs out soon. */
const leased = { ...numbers, leaseSeconds: 1 }

/** Starts a process, and kills it once it has said what fits. */
async function killAt(role: string, pattern: RegExp): Promise<RegExpExecArray> {
  const child = spawn(process.execPath, [programFile('test/runtime/jobs/jobs-process'), opened().url, role], {
    env: bareEnvironment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const part of child.stdout) {
    said += String(part)
    const found = pattern.exec(said)
    if (found === null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
    return found
  }
  throw new Error(`It ended, and said: ${said}`)
}
const finish = (id: number) =>
  awaitJob(opened().db, id, { signal: AbortSignal.timeout(60_000), work: { kinds: [numbers], worker: 'next' } })

it('a job whose worker is killed during a chunk is finished by another', async () => {
  const { db } = opened()
  const submitted = await submitJob(db, leased, { spec: { upTo: 3 }, subject: 's', worker: 'test' })
  await killAt('work', /at chunk 0/)
  expect(await readJob(db, submitted?.id ?? 0)).toMatchObject({ state: 'running', chunks: 3, chunksDone: 0 })
  expect(await finish(submitted?.id ?? 0)).toMatchObject({ state: 'done', chunksDone: 3, result: { sum: 3 } })
})

it('a job is done although the process that submitted it is killed', async () => {
  const [, id] = await killAt('submit', /submitted (\d+)/)
  expect(await finish(Number(id))).toMatchObject({ state: 'done', submittedBy: 'killed', result: { sum: 3, unit: 'apples' } })
})

it('a job is not cancelled while its finish is being claimed', async () => {
  const { db } = opened()
  const { id } = (await submitJob(db, numbers, {
    spec: { upTo: 0 },
    subject: 's',
    worker: 'test',
    planned: { plan: { unit: 'u' }, chunks: [0] },
  })) ?? { id: 0 }
  await db.query(`UPDATE lockstep.job_chunks SET step = 'finish' WHERE job = $1`, [id])
  let cancelling: Promise<unknown> | undefined
  await db.kysely.transaction().execute(async (transaction) => {
    await sql`update lockstep.job_chunks set claim = gen_random_uuid(), worker = 'late', claimable_at = clock_timestamp() + interval '1 hour' where job = ${id}`.execute(
      transaction,
    )
    cancelling = cancelJob(db, id, { actor: 'ada@test' }).catch((error: unknown) => error)
    const waits = () => db.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
    await expect.poll(waits, { timeout: 60_000 }).toHaveLength(1)
  })
  expect(await cancelling).toMatchObject({ code: 'BUSY', details: { worker: 'late' } })
  expect(await readJob(db, id)).toMatchObject({ state: 'running', workers: ['late'] })
})
