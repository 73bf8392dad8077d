import { activeMonitors } from '../../../../monitoring/alerts/default-monitors.ts'
import { listMonitors, monitorNamed } from '../../../../monitoring/alerts/monitor-list.ts'
import type { ServingContext } from '../../../context.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { monitorAnswer, monitorsAnswer } from './monitor-schemas.ts'
import type { Route } from '../route.ts'

export const monitorRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/monitors',
    scope: 'read',
    summary: 'Monitors, default ones included, and the newest results of their checks',
    tag: 'Alerts',
    answer: monitorsAnswer,
    async handle(call, deps) {
      return jsonAnswer(call, { monitors: await monitorsOf(deps) })
    },
  },
  {
    method: 'GET',
    path: '/v1/monitors/:name',
    scope: 'read',
    summary: 'One monitor, and the newest results of its checks',
    tag: 'Alerts',
    answer: monitorAnswer,
    async handle(call, deps) {
      const monitor = monitorNamed(await monitorsOf(deps), nameInPath(call))
      return jsonAnswer(call, monitor)
    },
  },
]

function monitorsOf({ upkeep, catalog, defaultMonitors }: ServingContext) {
  return listMonitors(upkeep.database(), activeMonitors(catalog(), defaultMonitors))
}
