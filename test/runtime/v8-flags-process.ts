import { disablePretenuring } from '../../runtime/v8-flags.ts'

// Makes objects of which all live on. `node --trace-pretenuring-statistics allocate-young-process.ts young|default`,
// where V8 tells what it makes of them.
if (process.argv[2] === 'young') disablePretenuring()
const make = (i: number): unknown => ({ request: { i }, since: i, until: i + 0.5 })
const kept: unknown[] = []
for (let i = 0; i < 2_000_000; i++) kept.push(make(i))
process.stdout.write(`${kept.length} objects\n`)
