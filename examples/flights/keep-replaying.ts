import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../../cli/context.ts'
import { workOnMonitors } from '../../cli/watch-monitors.ts'
import { workerTools } from '../../cli/worker-tools.ts'
import { messageOf } from '../../kernel/errors.ts'
import { createAlertMetrics } from '../../monitoring/alerts/alert-metrics.ts'
import { storeModelFigures } from '../../monitoring/figures/figures-job.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { championAlias } from '../../registry/models/model-aliases.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import type { Replay } from './replay.ts'
import type { Steps } from './steps.ts'

/** How long the clock of the data stands still between two hours. */
const pauseMs = 10_000
/** How often the figures of the model are stored, which workers do once an hour. */
const figuresEvery = 6

/**
 * Gives the dashboard something to show while the server stays up: a rollout that is under way, the figures of the
 * model, flights that go on, and a client with a fault that the monitors find. Ends with the signal, or with the data.
 */
export async function keepReplaying(
  context: Context,
  { lockstep, say }: Steps,
  { replay, here, endMs }: { readonly replay: Replay; readonly here: (name: string) => string; readonly endMs: number },
): Promise<void> {
  const { signal, log, config } = context
  const db = await context.database()
  const model = (await loadCatalog(db)).model('delay')
  const champion = model.aliases.get(championAlias)?.version ?? 1
  // what was answered until now is what later answers are compared with
  await lockstep('baseline', 'create', `delay@${champion}`)
  const other = champion === 2 ? 1 : 2
  await lockstep('rollout', 'start', `delay@${other}`, '--plan', here('slow-rollout-plan.ts'), '--unit', 'request-id')
  say('From now on another client asks about the same flights, and sends metres where miles belong.')
  const figures = async (): Promise<void> => {
    const catalog = await loadCatalog(db)
    await storeModelFigures(db, catalog, catalog.model('delay'), Date.now() * 1000)
  }
  await figures()

  const registry = createMetricsRegistry()
  const metrics = createAlertMetrics(registry, () => context.database())
  const work = { config, metrics, signal, onEvent: () => undefined, idleMs: 2000 }
  const fail = (error: unknown) => {
    if (!signal.aborted) log.warn({ error: messageOf(error) }, 'the replay has ended')
  }
  async function goOn(): Promise<void> {
    for (let hour = 1; !signal.aborted && replay.now() < endMs; hour++) {
      await replay.hour({ calmly: true, wrongUnit: true })
      if (hour % figuresEvery === 0) await figures()
      await sleep(pauseMs, null, { signal })
    }
  }
  void workOnMonitors(await workerTools(context), work).catch(fail)
  void goOn().catch(fail)
}
