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
      return { monitor: { ...monitor, evaluatedAt: moment, phase: worst, unknown }, state: stateText(worst, unknown, checks.length) }
    })
    return {
      json: { monitors: rows.map(({ monitor }) => monitor) },
      text: table(
        ['MONITOR', 'WATCHES', 'CHECKS', 'EVERY', 'SEVERITY', 'NOTIFIES', 'STATE'],
        rows.map(({ monitor, state }) => [
          monitor.name,
          watchedName(monitor),
          monitor.checks.map(({ kind }) => kind).join(', '),
          formatDuration(monitor.everyMicros),
          monitor.severity,
          monitor.notify.join(', '),
          state,
        ]),
      ),
    }
  },
}

/** `ok, 2 of 7 unknown`. If all results are unknown, none of them is ok. */
function stateText(phase: string | null, unknown: number, results: number): string {
  if (phase === null) return 'not evaluated yet'
  if (unknown === 0) return phase
  return unknown === results && phase === 'ok' ? 'unknown' : `${phase}, ${unknown} of ${results} unknown`
}
