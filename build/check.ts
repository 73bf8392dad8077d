import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'

// Runs every check of CI, then prints one line with the result. `npm run check`.
const root = dirname(import.meta.dirname)
const folder = mkdtempSync(join(tmpdir(), 'lockstep-check-'))
const report = join(folder, 'tests.json')
/** The training sets of the conformance cases, which Spark makes again. */
const recorded = join(folder, 'recorded')
const minJava = 17

interface Check {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Whether its last line is printed if it passes. */
  readonly hasResult?: boolean
}

const quick: readonly Check[] = [
  { name: 'typecheck', command: 'tsc', args: ['-p', '.'] },
  { name: 'typecheck of ui', command: 'tsc', args: ['-p', 'ui'] },
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

mkdirSync(recorded)
const java = javaVersion()
await Promise.all(quick.map(async (check) => note(check, await run(check))))
for (const check of slow) note(check, await run(check))
const spark: Check = { name: 'spark', command: 'node', args: ['test/peers/spark.ts', recorded], hasResult: true }
if (java >= minJava) note(spark, await run(spark))
else
  console.log(`-      spark is not checked: this machine has ${java === 0 ? 'no Java' : `Java ${java}`}, and Spark needs Java ${minJava}`)

const { passed, failed, failures } = testResults()
rmSync(folder, { recursive: true, force: true })
const otherChecks = failedChecks.filter((name) => name !== 'tests' || failed === 0)
// the last lines of a long log are the ones that everybody sees
for (const failure of failures) console.log(failure)
if (failedChecks.length > 0) console.log(`Failed: ${failedChecks.join(', ')}.`)
console.log(`${passed} passed, ${failed + otherChecks.length} failed`)
process.exitCode = failedChecks.length === 0 ? 0 : 1

/** Runs one check, prints its output once it has ended (the tests: as they run), and returns whether it passed. */
function run({ name, command, args, hasResult }: Check): Promise<boolean> {
  const live = name === 'tests'
  const startedAt = Date.now()
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', live ? 'inherit' : 'pipe', live ? 'inherit' : 'pipe'],
      // the tests of the package use the build made before them
      env: {
        ...process.env,
        LOCKSTEP_TEST_DIST: dist,
        ...(live && java >= minJava && { LOCKSTEP_TEST_RECORD: recorded }),
        PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`,
      },
    })
    let output = ''
    const listen = (chunk: Buffer): void => void (output += chunk.toString())
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.on('error', (error) => (output += error.message))
    child.on('close', (code) => {
      if (code !== 0 && output !== '') console.log(output.trim())
      const result = code === 0 && hasResult === true ? `: ${output.trim().split('\n').at(-1)}` : ''
      console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)${result}`)
      resolve(code === 0)
    })
  })
}

/** The major version of Java; 0: there is none. */
function javaVersion(): number {
  const { stderr } = spawnSync('java', ['-version'], { encoding: 'utf8' })
  return Number(/version "(?:1\.)?(\d+)/.exec(stderr ?? '')?.[1] ?? 0)
}

interface TestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly fullName: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

/**
 * The numbers of passed and failed tests and a text for each failure, from vitest's report. A run without a report
 * counts as one failure among the failed checks.
 */
function testResults(): { passed: number; failed: number; failures: string[] } {
  let results: TestReport
  try {
    results = JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { passed: 0, failed: 0, failures: [] }
  }
  const failures = results.testResults.flatMap(({ name, message, assertionResults }) => {
    const file = relative(root, name)
    const failed = assertionResults.filter(({ status }) => status === 'failed')
    const ofFile = message === '' || failed.length > 0 ? [] : [`FAILED ${file}\n${firstLines(message)}`]
    return [...ofFile, ...failed.map((test) => `FAILED ${file}: ${test.fullName}\n${firstLines(test.failureMessages.join('\n'))}`)]
  })
  return { passed: results.numPassedTests, failed: results.numFailedTests, failures }
}

function firstLines(text: string): string {
  return text.split('\n').slice(0, 20).join('\n')
}
