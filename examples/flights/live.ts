import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../../cli/context.ts'
import { count } from '../../cli/text/human.ts'
import { prepare } from '../../cli/run.ts'
import type { ShownHistory } from '../../cli/text/rollout-text.ts'
import { workOnMonitors } from '../../cli/watch-monitors.ts'
import type { WorkerTools } from '../../cli/worker-tools.ts'
import { workerTools } from '../../cli/worker-tools.ts'
import { messageOf } from '../../kernel/errors.ts'
import { createAlertMetrics } from '../../monitoring/alerts/alert-metrics.ts'
import { activeMonitors } from '../../monitoring/alerts/default-monitors.ts'
import { monitoringKinds } from '../../monitoring/alerts/evaluate-monitors.ts'
import { figuresJobs, storeModelFigures } from '../../monitoring/figures/figures-job.ts'
import { checkParity } from '../../monitoring/parity/check-parity.ts'
import { storeParity } from '../../monitoring/parity/stored-parity.ts'
import { mergeRollupsJobs } from '../../monitoring/rollups/merge-rollups.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { storedServices } from '../../registry/stored-services.ts'
import { readSecret } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { minutesLost } from './change-models.ts'
import type { Replay } from './replay.ts'
import { createReplay } from './replay.ts'
import type { Steps } from './steps.ts'

/** About so many flights of each hour are asked about. */
const flightsPerHour = 60
/** How long the clock of the data stands still between two hours. */
const pauseMs = 10_000
/** A Monday at 4:00, as the schedule of the training says. */
const trainedAt = '2001-06-25T04:00:00Z'
/** After so many hours of flights, what workers do once an hour is done. */
const hourlyEvery = 6
/**
 * Flights go on for so long while the rollout of the broken version has not ended. Its control begins within a minute,
 * and needs a few seconds.
 */
const maxRolloutMs = 120_000
const idleMs = 2000
/** After so many hours of flights, from the first one on, some answers are compared with the history. */
const parityEvery = 3
/**
 * So many of the answers of the last minute are compared with the history. Nothing else reads the embedded database
 * then.
 */
const parityVectors = 3
const parityWindowMicros = 60_000_000

export interface LiveOptions {
  readonly url: string
  /** Where the clock of the data begins and ends, epoch milliseconds. */
  readonly from: number
  readonly endMs: number
  readonly here: (name: string) => string
}

/**
 * Gives the dashboard what moves: a rollout that was rolled back, one that goes on, an experiment, monitors, and
 * flights that are asked about for as long as the server is up.
 */
export async function goLive(context: Context, { lockstep, say }: Steps, { url, from, endMs, here }: LiveOptions): Promise<void> {
  const { signal, log } = context
  const db = await context.database()
  const [loaded] = await db.query<{ rows: string }>('select count(*) as rows from flights')
  const perHour = Number(loaded?.rows) / (181 * 24)
  const replay = createReplay({
    db,
    url,
    from,
    judge: minutesLost,
    every: Math.max(1, Math.round(perHour / flightsPerHour)),
    async materialize(to) {
      await (
        await prepare(['materialize', '--to', to])
      )(context)
    },
  })
  const fail = (error: unknown): void => {
    if (!signal.aborted) log.warn({ error: messageOf(error) }, 'the replay has ended')
  }
  // this process keeps the views current, and on PostgreSQL no server controls the rollout
  const tools = await workerTools(context, true)
  void work(context, tools).catch(fail)
  await lockstep('model', 'push', 'delay', here('delay-2.onnx'))
  say('Version 3 is broken on purpose: it fails on flights of 500 miles and more. The server warns of it.')
  await lockstep('model', 'push', 'delay', here('delay-broken.onnx'))
  say('Training the model again on the week before 25 June, while no flight is asked about.')
  await lockstep('training', 'run', 'weekly_delays', '--at', trainedAt)
  const { rollout, experiments } = (await loadCatalog(db)).model('delay')
  if (rollout === null) {
    await lockstep('rollout', 'start', 'delay@3', '--plan', here('rollout-plan.ts'), '--unit', 'request-id', '--reason', 'a smaller model')
    const hasEnded = await untilEnded(context, replay)
    await lockstep('rollout', 'show', 'delay')
    say('Version 3 fails on flights of 500 miles and more. No request failed: the champion answered these.')
    if (!hasEnded) await lockstep('rollout', 'abort', 'delay', '--reason', 'too few flights were asked about in time')
    await lockstep('rollout', 'start', 'delay@2', '--plan', here('slow-rollout-plan.ts'), '--unit', 'request-id')
  }
  if (experiments.length === 0) await lockstep('experiment', 'start', 'second_model', '--reason', 'fewer minutes lost')

  await submitMonitors(context, tools)
  async function goOn(): Promise<void> {
    for (let hour = 1; !signal.aborted && replay.now() < endMs; hour++) {
      await replay.hour({ calmly: true, wrongUnit: true })
      if (hour % parityEvery === 1) await checkNewest(db, signal)
      if (hour % hourlyEvery === 0) {
        const catalog = await loadCatalog(db)
        await storeModelFigures(db, catalog, catalog.model('delay'), Date.now() * 1000, signal)
        await (
          await prepare(['experiment', 'show', 'second_model', '--analyze'])
        )(context)
        await submitMonitors(context, tools)
      }
      await sleep(pauseMs, null, { signal })
    }
  }
  void goOn().catch(fail)
  const hours = Math.round((endMs - replay.now()) / 3_600_000)
  say(
    `The flights go on, for ${count(hours)} hours of the data. Each takes some ten seconds, so requests come faster than in the weeks before.`,
  )
}

/** Compares some of the newest answers with the history, which a server would do after five minutes. */
async function checkNewest(db: Database, signal: AbortSignal): Promise<void> {
  const until = Date.now() * 1000
  const report = await checkParity(
    db,
    { services: (ids) => storedServices(db, ids) },
    { since: until - parityWindowMicros, until, limit: parityVectors, order: 'random', signal },
  )
  await storeParity(db, report, until)
}

/** @returns whether the rollout has ended in time */
async function untilEnded(context: Context, replay: Replay): Promise<boolean> {
  const untilMs = Date.now() + maxRolloutMs
  while (Date.now() < untilMs) {
    await replay.hour()
    const { rollout } = (await (await prepare(['rollout', 'show', 'delay']))(context)).json as ShownHistory
    if (rollout?.state !== 'running') return true
    // hours of the night have few flights, and the server decides once in two seconds
    await sleep(1000, null, { signal: context.signal })
  }
  return false
}

/** Has the monitors of the model evaluated now: that of a day would wait for up to an hour. */
async function submitMonitors({ config }: Context, tools: WorkerTools): Promise<void> {
  const { db, catalog, worker, store } = tools
  const deps = {
    ...tools,
    store: async () => store,
    readSecret,
    allowPrivate: false,
    publicUrl: config.ui.publicUrl,
    clock: () => Date.now() * 1000,
  }
  const [monitors] = monitoringKinds({ ...deps, active: (of) => activeMonitors(of, config.defaultMonitors) })
  if (monitors === undefined) return
  for (const monitor of activeMonitors(await catalog(), config.defaultMonitors).monitors) {
    const { name } = monitor
    if (monitor.target.kind === 'model') await submitJob(db, monitors, { spec: { monitor: name }, subject: name, key: name, worker })
  }
}

/** What a worker does, but for the views: these follow the clock of the data. */
async function work({ config, signal }: Context, tools: WorkerTools): Promise<void> {
  const metrics = createAlertMetrics(createMetricsRegistry(), async () => tools.db)
  const common = { signal, onEvent: () => undefined, idleMs }
  const clock = (): number => Date.now() * 1000
  const kinds = [figuresJobs({ ...tools, clock }), mergeRollupsJobs({ db: tools.db, days: config.rollupDays, clock })]
  await Promise.all([
    workOnMonitors(tools, { config, metrics, ...common }),
    workOnJobs(tools.jobs, { kinds, worker: tools.worker, ...common }),
  ])
}
