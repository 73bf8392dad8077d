import { formatDuration } from '../../kernel/duration.ts'
import { watchedName } from '../../registry/monitor-spec.ts'
import type { Command } from '../command.ts'
import { readMonitors } from '../find-monitor.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../table.ts'

export const monitorListCommand: Command = {
  name: 'monitor list',
  summary: 'List monitors, default ones included, and their states',
  options: { server: serverOption },
  example: 'lockstep monitor list',
  async run(context, input) {
    const monitors = await readMonitors(context, serverOf(context, input))
    const rows = monitors.map(({ results, ...monitor }) => {
      const worst = (['firing', 'pending', 'ok'] as const).find((phase) => results.some((check) => check.phase === phase)) ?? null
      const unknown = results.filter(({ result }) => result.state === 'unknown').length
      return { monitor: { ...monitor, phase: worst, unknown }, state: stateText(worst, unknown, results.length) }
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
