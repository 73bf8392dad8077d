import { didYouMean } from '../kernel/did-you-mean.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ActiveMonitor } from '../monitoring/alerts/default-monitors.ts'
import { activeMonitors } from '../monitoring/alerts/default-monitors.ts'
import type { Context } from './context.ts'

/** @throws LockstepError `UNKNOWN_DEFINITION` */
export async function findMonitor(context: Context, name: string): Promise<ActiveMonitor> {
  const { monitors } = activeMonitors(await context.catalog(), context.config.defaultMonitors)
  const found = monitors.find((each) => each.name === name)
  if (found !== undefined) return found
  const names = monitors.map((each) => each.name)
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `There is no monitor "${name}".${didYouMean(name, names)} "lockstep monitor list" lists them.`,
    {
      details: { monitor: name },
    },
  )
}
