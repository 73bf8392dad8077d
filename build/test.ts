import { parseCLI, startVitest } from 'vitest/node'

// Runs vitest once with the words that follow; `--timings` adds a table of seconds by test file. `npm test`.
const words = process.argv.slice(2)
const { filter, options } = parseCLI(['vitest', 'run', ...words.filter((word) => word !== '--timings')])
if (words.includes('--timings')) options.reporters = [options.reporters ?? 'default', 'build/timings.ts'].flat()
const vitest = await startVitest('test', filter, options)
await vitest.exit()
