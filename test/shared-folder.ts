import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { makeProgram } from './program.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A folder that the test files of a run share. */
    folder: string
  }
}

/** A run of all tests leaves some 3,000, of 35 MB. */
const maxCachedFiles = 15_000

/** Each vitest project loads this module again, so shared data is kept where all projects find it. */
const shared = globalThis as { lockstepTestFolder?: Promise<string>; lockstepTestProgram?: Promise<string> }
const caches = join(dirname(import.meta.dirname), 'node_modules/.cache')
/** Only their files start processes. */
const startProcesses: readonly string[] = ['slow', 'alone']

/**
 * Makes the folder of a run, and has the processes of the run keep their caches for later runs. Without the compile
 * cache, each thread and process that starts from TypeScript strips types again.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await (shared.lockstepTestFolder ??= makeFolder())
  project.provide('folder', folder)
  if (startProcesses.includes(project.name))
    process.env['LOCKSTEP_TEST_PROGRAM'] = await (shared.lockstepTestProgram ??= makeProgram(caches))
  // a process that is ending may still write there
  return () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
}

async function makeFolder(): Promise<string> {
  const compiled = join(caches, 'lockstep/compiled-tests')
  await dropIfLarge(compiled)
  process.env['NODE_COMPILE_CACHE'] = compiled
  process.env['XDG_CACHE_HOME'] = caches
  return await mkdtemp(join(tmpdir(), 'lockstep-tests-'))
}

/** Tests write definitions in folders that are never used again, and their compiled code stays. */
async function dropIfLarge(cache: string): Promise<void> {
  const files = await readdir(cache, { recursive: true }).catch(() => [])
  if (files.length > maxCachedFiles) await rm(cache, { recursive: true, force: true })
}
