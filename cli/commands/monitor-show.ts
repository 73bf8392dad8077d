import { readMonitorStates } from '../../monitoring/alerts/monitor-status.ts'
import type { Command } from '../command.ts'
import { findMonitor } from '../find-monitor.ts'
import { monitorText, resultsTable } from '../monitor-text.ts'

export const monitorShowCommand: Command = {
  name: 'monitor show',
  summary: 'Show a monitor and the newest results of its checks',
  arguments: [{ name: 'NAME', help: 'The name of the monitor, as "monitor list" shows it.' }],
  example: 'lockstep monitor show system:jobs',
  async run(context, input) {
    const monitor = await findMonitor(context, input.argument('NAME'))
    const { moment = null, checks = [] } = (await readMonitorStates(await context.database())).get(monitor.name) ?? {}
    const results =
      moment === null ? 'No worker has evaluated it yet.' : `Evaluated at ${moment}:\n${resultsTable(checks, context.terminal.width)}`
    return { json: { ...monitor, evaluatedAt: moment, results: checks }, text: `${monitorText(monitor)}\n\n${results}` }
  },
}
