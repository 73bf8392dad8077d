import { getHeapSpaceStatistics } from 'node:v8'
import { disablePretenuring, growYoungFaster } from '../../runtime/v8-flags.ts'

// Makes objects that all stay alive. Run `node --trace-pretenuring-statistics v8-flags-process.ts young|default`, so
// that V8 reports its pretenuring decisions. With `fast`, the young generation grows faster. The output ends with the
// sizes of the young generation that were seen, in bytes.
if (process.argv[2] === 'young') disablePretenuring()
if (process.argv[2] === 'fast') growYoungFaster()
const make = (i: number): unknown => ({ request: { i }, since: i, until: i + 0.5 })
const kept: unknown[] = []
const sizes = new Set<number>()
for (let i = 0; i < 200_000; i++) {
  kept.push(make(i))
  if (i % 1000 === 0) sizes.add(getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0)
}
process.stdout.write(`${kept.length} objects\nsizes ${JSON.stringify([...sizes])}\n`)
