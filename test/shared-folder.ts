import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A folder for what the test files of a run share. */
    folder: string
  }
}

/** Each project of vitest loads this module anew, so what they share is kept where all find it. */
const shared = globalThis as { lockstepTestFolder?: Promise<string> }

/**
 * Makes the folder of a run, with a compile cache: without one, each thread and process that starts from TypeScript
 * strips types anew. The cache is of this run alone, because tests write definitions in folders that never come again,
 * and what was compiled of them would stay.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await (shared.lockstepTestFolder ??= mkdtemp(join(tmpdir(), 'lockstep-tests-')))
  process.env['NODE_COMPILE_CACHE'] = join(folder, 'compiled')
  project.provide('folder', folder)
  // a process that is ending may be writing there
  return () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
}
