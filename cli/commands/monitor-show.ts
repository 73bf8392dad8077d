import { monitorNamed } from '../../monitoring/alerts/monitor-list.ts'
import type { Command } from '../command.ts'
import { readMonitors } from '../find-monitor.ts'
import { monitorText, resultsTable } from '../text/monitor-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const monitorShowCommand: Command = {
  name: 'monitor show',
  summary: 'Show a monitor and the newest results of its checks',
  arguments: [{ name: 'NAME', help: 'The name of the monitor, as "monitor list" shows it.' }],
  options: { server: serverOption },
  example: 'lockstep monitor show system:jobs',
  async run(context, input) {
    const name = input.argument('NAME')
    const monitor = monitorNamed(await readMonitors(context, serverOf(context, input)), name)
    const { evaluatedAt, results } = monitor
    const text =
      evaluatedAt === null
        ? 'No worker has evaluated it yet. A running "lockstep worker" does it when the monitor is due.'
        : `Evaluated at ${evaluatedAt}:\n${resultsTable(results, context.terminal.width)}`
    return { json: monitor, text: `${monitorText(monitor)}\n\n${text}` }
  },
}
