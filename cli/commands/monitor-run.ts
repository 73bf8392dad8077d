import { formatTimestamp } from '../../kernel/values/time.ts'
import { evaluateMonitor } from '../../monitoring/alerts/evaluate-monitor.ts'
import { readMemories } from '../../monitoring/alerts/record-evaluation.ts'
import type { Command } from '../command.ts'
import { findMonitor } from '../find-monitor.ts'
import { resultsTable } from '../text/monitor-text.ts'

export const monitorRunCommand: Command = {
  name: 'monitor run',
  summary: 'Evaluate a monitor now, and only show the results',
  description: ['Changes no alert and sends no notification; only workers do. Exits with 1 if a check breaches.'],
  arguments: [{ name: 'NAME', help: 'The name of the monitor, as "monitor list" shows it.' }],
  example: 'lockstep monitor run system:jobs',
  async run(context, input) {
    const monitor = await findMonitor(context, input.argument('NAME'))
    const [db, catalog, store] = [await context.database(), await context.catalog(), await context.store().catch(() => null)]
    const clock = (): number => Date.now() * 1000
    const moment = clock()
    const deps = { db, store, catalog, clock, signal: context.signal }
    const checked = await evaluateMonitor(deps, monitor, moment, await readMemories(db, monitor.name))
    const results = checked.flatMap(({ kind, results: found }) =>
      (found ?? []).map((result) => ({ check: kind, result: { ...result, memory: undefined } })),
    )
    const errors = checked.flatMap(({ kind, error }) => (error === null ? [] : [`The check ${kind} failed: ${error}`]))
    const breaches = results.filter(({ result }) => result.state === 'breach').length
    return {
      json: { monitor: monitor.name, moment: formatTimestamp(moment), results, errors },
      text: [results.length === 0 ? 'There is nothing to watch.' : resultsTable(results, context.terminal.width), ...errors].join('\n'),
      exitCode: breaches > 0 ? 1 : 0,
    }
  },
}
