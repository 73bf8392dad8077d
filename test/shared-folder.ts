import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A folder that the test files of a run share. */
    folder: string
  }
}

/** Each vitest project loads this module again, so shared data is kept where all projects find it. */
const shared = globalThis as { lockstepTestFolder?: Promise<string> }

/**
 * Makes the folder of a run, with a compile cache. Without one, each thread and process that starts from TypeScript
 * strips types again. The cache belongs to this run only, because tests write definitions in folders that are never
 * used again, and their compiled code would stay. Other caches, as that of the embedded database, are kept for later runs.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await (shared.lockstepTestFolder ??= mkdtemp(join(tmpdir(), 'lockstep-tests-')))
  process.env['NODE_COMPILE_CACHE'] = join(folder, 'compiled')
  process.env['XDG_CACHE_HOME'] = join(dirname(import.meta.dirname), 'node_modules/.cache')
  project.provide('folder', folder)
  // a process that is ending may still write there
  return () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
}
