import { defineConfig } from 'vitest/config'

process.env['TZ'] = 'UTC'

/** Two workers, each with a PostgreSQL of its own. A server that is given is one for all, so its tests run one after the other. */
const given = (process.env['LOCKSTEP_TEST_POSTGRES_URL'] ?? '') !== ''

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'], checker: 'tsc', tsconfig: './tsconfig.json', ignoreSourceErrors: true },
    globalSetup: ['test/services/global-setup.ts'],
    setupFiles: ['test/note-cpu.ts', 'test/quiet.ts'],
    pool: 'forks',
    maxWorkers: given ? 1 : 2,
    // what a test waits for has a deadline of its own, whose error says more than these
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
})
