import { messageOf } from '../kernel/errors.ts'
import type { EventIntake } from '../materializer/events/event-intake.ts'
import { createEventIntake } from '../materializer/events/event-intake.ts'
import { logOversized } from '../materializer/runs/log-oversized.ts'
import { instrumentedStore } from '../online/instrumented-store.ts'
import { createRepeats } from '../runtime/repeats.ts'
import type { ServingMetrics } from './metrics.ts'
import type { Folding } from './context.ts'
import type { LiveCatalog } from './models/live-catalog.ts'
import type { Predicting, ServerOptions } from './server-options.ts'

export interface PushedEventsOptions extends Pick<Predicting, 'database' | 'store'> {
  readonly catalog: LiveCatalog
  readonly metrics: ServingMetrics
}

/** Takes in the events that clients push, for the views that are online by the registry as it stands then. */
export function createPushedEvents(
  options: ServerOptions,
  { database, store, catalog, metrics }: PushedEventsOptions,
): { readonly intake: EventIntake; readonly folding: Folding } {
  const { config, log, foldWaitMs } = options
  const { futureMicros = 600_000_000 } = config
  const foldFailures = createRepeats()
  const folding: Folding = {
    futureMicros,
    onFoldFailure(source, error) {
      metrics.push.foldFailed(source)
      // of each push while the online store is down
      const pushes = foldFailures(`${source}: ${messageOf(error)}`)
      if (pushes !== null) log.warn({ source, pushes, error: messageOf(error) }, 'events are committed but not online yet')
    },
    onTooLarge: logOversized(log, metrics.push.overCap),
  }
  const intake = createEventIntake(
    {
      database,
      store: () => instrumentedStore(store(), metrics.onlineError, metrics.roundTrips),
      views: (source) => catalog.current().onlineReaders(catalog.current().source(source)),
      metrics: metrics.push,
      onFoldFailure: folding.onFoldFailure,
      onTooLarge: folding.onTooLarge,
      log,
    },
    { futureMicros, ...(foldWaitMs !== undefined && { foldWaitMs }) },
  )
  return { intake, folding }
}
