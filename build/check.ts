import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

// Runs every check of CI, then prints one line with the result. `npm run check`.
const root = dirname(import.meta.dirname)
const folder = mkdtempSync(join(tmpdir(), 'lockstep-check-'))
const report = join(folder, 'tests.json')

interface Check {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
}

const quick: readonly Check[] = [
  { name: 'typecheck', command: 'tsc', args: ['-p', '.'] },
  { name: 'lint', command: 'oxlint', args: [] },
  { name: 'format', command: 'oxfmt', args: ['--check'] },
  { name: 'knip', command: 'knip', args: ['--no-progress'] },
]
const dist = join(root, 'dist')
const slow: readonly Check[] = [
  { name: 'build', command: 'node', args: ['build/build.ts', dist] },
  {
    name: 'tests',
    command: 'node',
    args: ['build/test.ts', '--timings', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  },
]

const failedChecks: string[] = []
const note = (check: Check, passed: boolean): void => void (passed || failedChecks.push(check.name))

await Promise.all(quick.map(async (check) => note(check, await run(check))))
for (const check of slow) note(check, await run(check))

const { passed, failed } = testCounts()
rmSync(folder, { recursive: true, force: true })
const otherChecks = failedChecks.filter((name) => name !== 'tests' || failed === 0)
if (failedChecks.length > 0) console.log(`Failed: ${failedChecks.join(', ')}.`)
console.log(`${passed} passed, ${failed + otherChecks.length} failed`)
process.exitCode = failedChecks.length === 0 ? 0 : 1

/** Runs one check, prints its output once it has ended (the tests: as they run), and returns whether it passed. */
function run({ name, command, args }: Check): Promise<boolean> {
  const live = name === 'tests'
  const startedAt = Date.now()
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', live ? 'inherit' : 'pipe', live ? 'inherit' : 'pipe'],
      // the tests of the package use the build made before them
      env: { ...process.env, LOCKSTEP_TEST_DIST: dist, PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` },
    })
    let output = ''
    const listen = (chunk: Buffer): void => void (output += chunk.toString())
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.on('error', (error) => (output += error.message))
    child.on('close', (code) => {
      if (code !== 0 && output !== '') console.log(output.trim())
      console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`)
      resolve(code === 0)
    })
  })
}

/**
 * The numbers of passed and failed tests, from vitest's report. A run without a report counts as one failure among the
 * failed checks.
 */
function testCounts(): { passed: number; failed: number } {
  try {
    const counts: { numPassedTests: number; numFailedTests: number } = JSON.parse(readFileSync(report, 'utf8'))
    return { passed: counts.numPassedTests, failed: counts.numFailedTests }
  } catch {
    return { passed: 0, failed: 0 }
  }
}
