import { parseCLI, startVitest } from 'vitest/node'

// Runs vitest once with the given arguments; `--timings` adds a table of seconds by test file. `npm test`.
const words = process.argv.slice(2).filter((word) => word !== '--timings')
if (words.length + 2 < process.argv.length) {
  if (!words.some((word) => word.startsWith('--reporter'))) words.push('--reporter=default')
  words.push('--reporter=./build/timings.ts')
}
const { filter, options } = parseCLI(['vitest', 'run', ...words])
const vitest = await startVitest('test', filter, options)
await vitest.exit()
