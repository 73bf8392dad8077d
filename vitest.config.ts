import { availableParallelism, tmpdir } from 'node:os'
import type { UserWorkspaceConfig } from 'vitest/config'
import { defineConfig } from 'vitest/config'
import type { TestSpecification } from 'vitest/node'
import { BaseSequencer } from 'vitest/node'
import { memoryFolder } from './test/memory-folder.ts'
import { testsByProject } from './test/projects.ts'

process.env['TZ'] = 'UTC'
process.env['TMPDIR'] ??= memoryFolder() ?? tmpdir()

/** A server that is given is one for all, so its tests run one after the other. */
const given = (process.env['LOCKSTEP_TEST_POSTGRES_URL'] ?? '') !== ''
/**
 * Each has a PostgreSQL of its own. Four more than processors, as tests often wait for a process or for time to pass.
 */
const maxWorkers = given ? 1 : Math.min(8, availableParallelism() + 4)

const tests = testsByProject()

const inOrder: readonly string[] = ['slow', 'integration', 'unit']

/** Begins the slow files first, so that no worker is left with a long one at the end. */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => inOrder.indexOf(a.project.name) - inOrder.indexOf(b.project.name))
  }
}

function project(name: keyof typeof tests, options: UserWorkspaceConfig['test'] = {}): UserWorkspaceConfig {
  return {
    test: {
      name,
      // a project without files would take all that vitest finds
      include: tests[name].length === 0 ? ['none'] : tests[name],
      globalSetup: ['test/shared-folder.ts', ...(name === 'unit' ? [] : ['test/services/global-setup.ts'])],
      setupFiles: ['test/note-cpu.ts', 'test/after-file.ts', 'test/quiet.ts'],
      pool: 'forks',
      // files share a process, in which each would import much of the product again
      isolate: false,
      // Node imports the files itself, as it does those of the product, and keeps what it compiles
      // (test/shared-folder.ts)
      experimental: { viteModuleRunner: false, nodeLoader: false },
      maxWorkers,
      // what a test waits for has a deadline of its own, whose error says more than these
      expect: { poll: { timeout: 60_000 } },
      testTimeout: 240_000,
      hookTimeout: 240_000,
      ...options,
    },
  }
}

export default defineConfig({
  test: {
    projects: [
      project('slow'),
      project('integration'),
      project('unit', {
        typecheck: {
          enabled: true,
          include: ['test/**/*.test-d.ts'],
          checker: 'tsc',
          tsconfig: './tsconfig.types.json',
          ignoreSourceErrors: true,
        },
      }),
      // after the others, one by one, as they measure
      project('alone', { isolate: true, maxWorkers: 1, sequence: { groupOrder: 1 } }),
    ],
    sequence: { sequencer: SlowFirst },
    teardownTimeout: 30_000,
  },
})
