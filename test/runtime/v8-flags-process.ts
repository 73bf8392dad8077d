import { disablePretenuring } from '../../runtime/v8-flags.ts'

// Makes objects that all stay alive. Run `node --trace-pretenuring-statistics v8-flags-process.ts young|default`, so
// that V8 reports its pretenuring decisions.
if (process.argv[2] === 'young') disablePretenuring()
const make = (i: number): unknown => ({ request: { i }, since: i, until: i + 0.5 })
const kept: unknown[] = []
for (let i = 0; i < 2_000_000; i++) kept.push(make(i))
process.stdout.write(`${kept.length} objects\n`)
