import { formatDuration } from '../../kernel/duration.ts'
import { activeMonitors } from '../../monitoring/alerts/default-monitors.ts'
import { readMonitorStates } from '../../monitoring/alerts/monitor-status.ts'
import { watchedName } from '../../registry/monitor-spec.ts'
import type { Command } from '../command.ts'
import { table } from '../table.ts'

export const monitorListCommand: Command = {
  name: 'monitor list',
  summary: 'List monitors, default ones included, and their states',
  example: 'lockstep monitor list',
  async run(context) {
    const { monitors } = activeMonitors(await context.catalog(), context.config.defaultMonitors)
    const states = await readMonitorStates(await context.database())
    const rows = monitors.map((monitor) => {
      const { moment = null, checks = [] } = states.get(monitor.name) ?? {}
      const worst = (['firing', 'pending', 'ok'] as const).find((phase) => checks.some((check) => check.phase === phase)) ?? null
      const unknown = checks.filter(({ result }) => result.state === 'unknown').length
      return { ...monitor, evaluatedAt: moment, phase: worst, unknown }
    })
    return {
      json: { monitors: rows },
      text: table(
        ['MONITOR', 'WATCHES', 'CHECKS', 'EVERY', 'SEVERITY', 'NOTIFIES', 'STATE'],
        rows.map((row) => [
          row.name,
          watchedName(row),
          row.checks.map(({ kind }) => kind).join(', '),
          formatDuration(row.everyMicros),
          row.severity,
          row.notify.join(', '),
          row.phase === null ? 'not evaluated yet' : `${row.phase}${row.unknown === 0 ? '' : `, ${row.unknown} unknown`}`,
        ]),
      ),
    }
  },
}
