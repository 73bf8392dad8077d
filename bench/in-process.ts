import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'

/**
 * Runs a step of a bench in a separate process, so that its peak memory can be measured. The command line is `file
 * --step NAME --folder FOLDER`. The step stores its result with `tell`.
 *
 * @returns the result that the step stored
 */
export async function inProcess<Result>(
  file: string,
  step: string,
  folder: string,
  env: NodeJS.ProcessEnv,
  rest: readonly string[] = [],
): Promise<Result> {
  const child = spawn(process.execPath, [file, '--step', step, '--folder', folder, ...rest], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  if (status !== 0) throw new Error(`The step "${step}" ended with ${status}.`)
  return JSON.parse(await readFile(join(folder, `${step}.json`), 'utf8')) as Result
}

export async function tell(folder: string, step: string, result: unknown): Promise<void> {
  await writeFile(join(folder, `${step}.json`), JSON.stringify(result))
}

/** Seconds. */
export async function clock(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

/** Megabytes, the peak of this process so far. */
export function peakRssMb(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024)
}

/** The resources of a bench: both are removed when it ends. */
export interface BenchPlace {
  readonly folder: string
  /** The name of the database. */
  readonly name: string
  /** The environment variables of each step. */
  readonly env: NodeJS.ProcessEnv
}

/** Runs a bench in a new database of the server at `postgresUrl` and in a new folder. */
export async function inOwnPlace(postgresUrl: string, work: (place: BenchPlace) => Promise<void>): Promise<void> {
  const server = openPostgres(postgresUrl)
  const name = `lockstep_bench_${process.pid}`
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-bench-'))
  const url = new URL(postgresUrl)
  url.pathname = `/${name}`
  await server.query(`create database ${name}`)
  try {
    await work({ folder, name, env: { ...process.env, LOCKSTEP_POSTGRES_URL: url.href, LOCKSTEP_REDIS_PREFIX: name } })
  } finally {
    await server.query(`drop database ${name} with (force)`)
    await server.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** The mean of the middle two where their number is even; NaN where there are none. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return (low + high) / 2
}
