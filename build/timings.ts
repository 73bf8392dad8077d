import type { Reporter, TestModule } from 'vitest/node'

/** The columns of the table, in seconds. */
const columns = {
  /** The tests and hooks of the file, wall-clock time. */
  tests: (module: TestModule) => module.diagnostic().duration / 1000,
  /** Start of the process and imports before them, wall-clock time. */
  load: (module: TestModule) => {
    const { environmentSetupDuration, prepareDuration, setupDuration, collectDuration } = module.diagnostic()
    return (environmentSetupDuration + prepareDuration + setupDuration + collectDuration) / 1000
  },
  /** Processor time of the process that ran the file (test/note-cpu.ts). */
  cpu: (module: TestModule) => module.meta().cpu?.ownSeconds ?? 0,
  /** Processor time of the processes that it started. */
  'cpu of children': (module: TestModule) => module.meta().cpu?.childSeconds ?? 0,
} as const

const measures = Object.values(columns)

/** Files that cost less, in seconds, are left out of the table. */
const minSeconds = 1

/** Prints a table of seconds by test file, the most expensive first: `npm test -- --timings`. */
export default class TimingsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = modules.map((module) => ({ file: module.relativeModuleId, seconds: measures.map((measure) => measure(module)) }))
    const cost = ({ seconds: [tests = 0, , cpu = 0, children = 0] }: (typeof rows)[number]) => Math.max(tests, cpu + children)
    rows.sort((a, b) => cost(b) - cost(a))
    const totals = measures.map((_, column) => rows.reduce((sum, { seconds }) => sum + (seconds[column] ?? 0), 0))
    const head = Object.keys(columns)
    const line = (seconds: readonly number[]) => seconds.map((value, column) => value.toFixed(1).padStart(width(head[column]))).join('  ')
    console.log(`\nSeconds by test file\n${head.map((name) => name.padStart(width(name))).join('  ')}  file`)
    for (const { file, seconds } of rows.filter((row) => cost(row) >= minSeconds)) console.log(`${line(seconds)}  ${file}`)
    console.log(`${line(totals)}  all ${rows.length} files`)
    const [, , cpu = 0, children = 0] = totals
    console.log(`Processor time of all files: ${(cpu + children).toFixed(0)} s, without that of the services they use`)
  }
}

function width(name = ''): number {
  return Math.max(name.length, 6)
}
