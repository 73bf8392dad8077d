import { durationText } from '../../kernel/values/duration.ts'
import { monitorState } from '../../monitoring/alerts/monitor-list.ts'
import { watchedName } from '../../registry/monitor-spec.ts'
import type { Command } from '../command.ts'
import { readMonitors } from '../find-monitor.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const monitorListCommand: Command = {
  name: 'monitor list',
  summary: 'List monitors, default ones included, and their states',
  options: { server: serverOption },
  example: 'lockstep monitor list',
  async run(context, input) {
    const monitors = await readMonitors(context, serverOf(context, input))
    const rows = monitors.map(({ results, ...monitor }) => {
      const { phase, unknown, text } = monitorState(results)
      return { monitor: { ...monitor, phase, unknown }, state: text }
    })
    return {
      json: { monitors: rows.map(({ monitor }) => monitor) },
      text: table(
        ['MONITOR', 'WATCHES', 'CHECKS', 'EVERY', 'SEVERITY', 'NOTIFIES', 'STATE'],
        rows.map(({ monitor, state }) => [
          monitor.name,
          watchedName(monitor),
          monitor.checks.map(({ kind }) => kind).join(', '),
          durationText(monitor.everyMicros),
          monitor.severity,
          monitor.notify.join(', '),
          state,
        ]),
      ),
    }
  },
}
