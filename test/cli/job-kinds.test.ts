import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { z } from 'zod'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { loadConfig } from '../../runtime/config.ts'
import { jobKinds } from '../../runtime/jobs/job-kinds.ts'
import { maxListedJobs, readJobs } from '../../runtime/jobs/read-jobs.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll, start, whenReady } from './run-lockstep.ts'

// A job whose kind no process works on waits for ever. One with an invalid spec fails as soon as a process takes it.

const subject = 'invalid'
/** Each look is a request to the process that works on the jobs, so they are few. */
const wait = { timeout: 180_000, interval: 250 }
const closers: (() => Promise<void>)[] = []
afterAll(async () => {
  killAll()
  for (const close of closers.toReversed()) await close()
})

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'lockstep-job-kinds-'))
  closers.push(() => rm(made, { recursive: true }))
  return made
}

function contextOf(env: Environment): Context {
  return createContext(loadConfig({ ...env, LOCKSTEP_LOG_LEVEL: 'silent' }), createTerminal(true), new AbortController().signal)
}

/** The trainer whose name is the scope of a training. */
const trainer = 'train'
async function trainers(): Promise<string> {
  const made = await folder()
  await writeFile(join(made, trainer), '')
  await chmod(join(made, trainer), 0o755)
  return made
}

/** Submits jobs of all kinds with invalid specs. Some kinds have the store as their scope, trainings their trainer. */
async function submitInvalid(context: Context): Promise<void> {
  const [db, store] = [await context.database(), await context.store()]
  for (const scope of ['', await store.identity(), trainer]) {
    for (const name of jobKinds) {
      const kind = { name, spec: z.string(), retries: 0, backoffSeconds: { from: 1, to: 1 }, run: async () => null }
      await submitJob(db, kind, { spec: 'invalid', subject, scope, worker: 'test' })
    }
  }
}

/** The kinds of which no such job has been taken. */
function untaken(jobs: readonly { readonly kind: string; readonly subject: string; readonly state: string }[]): string[] {
  const taken = new Set(jobs.filter((job) => job.subject === subject && job.state === 'failed').map(({ kind }) => kind))
  return jobKinds.filter((kind) => !taken.has(kind))
}

it('"lockstep worker" works on jobs of every kind', { timeout: 400_000 }, async () => {
  const [database, redis] = await Promise.all([testDatabase(), testRedis()])
  closers.push(() => database.drop())
  const env = {
    LOCKSTEP_DIR: await folder(),
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_TRAINERS: await trainers(),
  }
  await must(env, 'migrate')
  const context = contextOf(env)
  closers.push(() => context.close())
  await submitInvalid(context)
  start(env, 'worker')
  const db = await context.database()
  await expect.poll(async () => untaken(await readJobs(db, { subject, limit: maxListedJobs })), wait).toEqual([])
})

/** Reads the kinds that a server with the embedded database does not work on. */
async function untakenByServer(...options: readonly string[]): Promise<() => Promise<string[]>> {
  const env = { LOCKSTEP_DIR: join(await folder(), 'data'), LOCKSTEP_HOST: '127.0.0.1', LOCKSTEP_TRAINERS: await trainers() }
  await must(env, 'migrate')
  const context = contextOf(env)
  try {
    await submitInvalid(context)
  } finally {
    await context.close()
  }
  const [, url = ''] = await start(env, 'serve', '--port', '0', ...options).until(/Listening on (http[^\s,]+?)[.,]?\s/)
  await whenReady(url)
  return async () => {
    const { jobs } = (await (await fetch(`${url}/v1/jobs?subject=${subject}&limit=${maxListedJobs}`)).json()) as { jobs: [] }
    return untaken(jobs)
  }
}

it('"lockstep serve" works on jobs of every kind with the embedded database', { timeout: 400_000 }, async () => {
  await expect.poll(await untakenByServer(), wait).toEqual([])
})

it('"lockstep serve --as-of" works on what is asked for, trainings too', { timeout: 400_000 }, async () => {
  const asked = new Set(['export', 'batch', 'training', 'rollouts', 'experiments'])
  const left = await untakenByServer('--as-of', '2026-03-01T00:00:00Z')
  await expect.poll(left, wait).toEqual(jobKinds.filter((kind) => !asked.has(kind)))
})
