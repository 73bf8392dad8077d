import type { ActiveMonitor } from '../monitoring/alerts/default-monitors.ts'
import { activeMonitors } from '../monitoring/alerts/default-monitors.ts'
import type { ListedMonitor } from '../monitoring/alerts/monitor-list.ts'
import { listMonitors, monitorNamed } from '../monitoring/alerts/monitor-list.ts'
import { monitorsAnswer } from '../serving/protocols/http/monitoring/monitor-schemas.ts'
import type { Context } from './context.ts'
import type { Server } from './remote/server.ts'

/** @throws LockstepError `UNKNOWN_DEFINITION` */
export async function findMonitor(context: Context, name: string): Promise<ActiveMonitor> {
  return monitorNamed(activeMonitors(await context.catalog(), context.config.defaultMonitors).monitors, name)
}

/** All monitors with their newest results. @param server null: from the database */
export async function readMonitors(context: Context, server: Server | null): Promise<readonly ListedMonitor[]> {
  if (server !== null) {
    const { monitors } = await server.ask('GET', '/v1/monitors', undefined, monitorsAnswer)
    // the schema says less than what a server of the same version answers
    return monitors as unknown as ListedMonitor[]
  }
  return await listMonitors(await context.database(), activeMonitors(await context.catalog(), context.config.defaultMonitors))
}
