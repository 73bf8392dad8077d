import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Runs a step of a bench in a process of its own, so that its peak memory is its own: `file --step NAME --folder FOLDER`, which ends with `tell`.
 *
 * @returns what the step told
 */
export async function inProcess<Told>(
  file: string,
  step: string,
  folder: string,
  env: NodeJS.ProcessEnv,
  rest: readonly string[] = [],
): Promise<Told> {
  const child = spawn(process.execPath, [file, '--step', step, '--folder', folder, ...rest], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  if (status !== 0) throw new Error(`The step "${step}" ended with ${status}.`)
  return JSON.parse(await readFile(join(folder, `${step}.json`), 'utf8')) as Told
}

export async function tell(folder: string, step: string, told: unknown): Promise<void> {
  await writeFile(join(folder, `${step}.json`), JSON.stringify(told))
}

/** Seconds. */
export async function clock(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

/** Megabytes, of this process so far. */
export function peakRssMb(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024)
}
