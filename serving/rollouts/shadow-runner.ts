import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { shadowSuffix } from '../../monitoring/prediction-log/prediction-id.ts'
import type { PredictionLog } from '../../monitoring/prediction-log/prediction-log.ts'
import type { RollupRecorder } from '../../monitoring/rollups/rollup-recorder.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Logger } from '../../runtime/log.ts'
import type { FeatureReaderDeps } from '../features/read-features.ts'
import type { ServedModel } from '../models/load-version.ts'
import type { ModelHost } from '../models/model-host.ts'
import type { RoutingRule } from './routing-rule.ts'
import { routingTarget } from './routing-rule.ts'
import { shadowRule } from './routing-rules.ts'
import type { AnsweredRequest, AnsweredRows, ShadowJob } from './shadow-job.ts'
import { createShadowQueue } from './shadow-queue.ts'
import { createShadowReads } from './shadow-reads.ts'

export interface ShadowOptions {
  /** How many rows may wait. Default: 2000. */
  readonly maxRows: number
  /** The share of the time in which a shadow may run. Default: 0.1. */
  readonly timeShare: number
  /** Whether the process is busy: then all rows of shadows are dropped. Default: never. */
  readonly isBusy: () => boolean
}

export interface ShadowRunnerDeps {
  /** @throws LockstepError `NOT_READY` */
  readonly catalog: () => Catalog
  readonly models: Pick<ModelHost, 'use'>
  readonly reader: (catalog: Catalog) => FeatureReaderDeps
  readonly predictionLog: Pick<PredictionLog, 'note'>
  readonly rollups: Pick<RollupRecorder, 'answered' | 'failed'>
  readonly registry: Registry
  readonly log: Logger
}

/**
 * Runs a share of the answered rows by the shadow version of their model.
 *
 *     offer: in the share? process not busy? room in the queue?
 *       -> queue -> a flight of some rows -> rest, so that flights take `timeShare` of the time
 *
 * Nothing waits for it, and what does not fit is dropped and counted. It has no part in admission and limits, and
 * passes by the prediction cache.
 */
export interface ShadowRunner {
  /** Takes rows of an answered request. It returns at once and never throws. */
  offer(request: AnsweredRequest, catalog: Catalog, groups: readonly AnsweredRows[]): void
  /** Drops what waits. */
  close(): void
}

/** A flight begins after this time, so that answers leave first and rows share runs. */
const gatherMs = 5
/** How rollups count rows that were not run. */
const dropped = new LockstepError('OVERLOADED', 'The rows were not run in shadow: the server had no time for them.')

export function createShadowRunner(deps: ShadowRunnerDeps, options: Partial<ShadowOptions>): ShadowRunner {
  const { models, predictionLog, rollups, log } = deps
  const { maxRows = 2000, timeShare = 0.1, isBusy = () => false } = options
  const counter = new Counter({
    name: 'lockstep_shadow_rows_total',
    help: 'Rows that a shadow took, by result: answered, failed, or dropped because the server was busy, its queue was full, or they waited too long (late).',
    labelNames: ['model', 'version', 'result'],
    registers: [deps.registry],
  })
  const read = createShadowReads(deps.reader)
  const queue = createShadowQueue(maxRows, drop)
  let timer: NodeJS.Timeout | null = null
  let flying = false
  /** No flight begins earlier, by `performance.now()`. */
  let nextAtMs = 0
  let closed = false

  function drop({ request, version }: ShadowJob, rows: number, reason: 'busy' | 'full' | 'late'): void {
    counter.inc({ model: request.model, version, result: reason }, rows)
    rollups.failed(request.model, version, 'shadow', dropped)
  }

  function schedule(): void {
    if (closed || flying || timer !== null || queue.isEmpty()) return
    timer = setTimeout(() => void fly(), Math.max(gatherMs, nextAtMs - performance.now())).unref()
  }

  async function fly(): Promise<void> {
    timer = null
    flying = true
    const beganMs = performance.now()
    try {
      await Promise.all(queue.next(isBusy()).map(run))
    } finally {
      flying = false
      const endMs = performance.now()
      nextAtMs = endMs + (endMs - beganMs) * (1 / timeShare - 1)
      schedule()
    }
  }

  /** Never rejects. */
  async function run(job: ShadowJob): Promise<void> {
    const { request, version, answered, taken } = job
    try {
      const catalog = deps.catalog()
      // it was stopped meanwhile
      if (catalog.models.get(request.model)?.shadow?.id !== job.shadow) return
      await models.use(catalog, request.model, version, (model) => predictJob(catalog, job, model), { measured: false })
      counter.inc({ model: request.model, version, result: 'answered' }, taken.length)
    } catch (error) {
      counter.inc({ model: request.model, version, result: 'failed' }, taken.length)
      rollups.failed(request.model, version, 'shadow', error)
      log.debug({ model: request.model, version, rows: answered.rows.length, error: messageOf(error) }, 'a shadow failed')
    }
  }

  async function predictJob(catalog: Catalog, job: ShadowJob, model: ServedModel): Promise<void> {
    const { request, answered, taken } = job
    const startedMs = performance.now()
    const own = await read(catalog, job, model.service)
    const modelMs = performance.now()
    const predictions = await model.predictUncached(own.rows)
    const endMs = performance.now()
    const runMs = Math.min(model.last.runMs, endMs - modelMs)
    const stages = { featuresMs: modelMs - startedMs, evaluateMs: own.evaluateMs, waitMs: endMs - modelMs - runMs, runMs }
    // it was received, and is answered, as a copy in memory
    const times = { totalMs: endMs - startedMs, receiveMs: 0, encodeMs: 0, ...stages }
    const as = { role: 'shadow', experiment: null, variant: null } as const
    rollups.answered({ model, role: 'shadow', rows: taken.map((_, i) => i), read: own }, predictions, times, 0)
    predictionLog.note({
      requestId: request.caller.requestId,
      predictionBase: request.caller.predictionBase + shadowSuffix,
      apiKey: request.caller.apiKey,
      startedMs,
      times,
      model: request.model,
      version: model.version.version,
      service: model.service,
      outputs: model.outputs,
      read: own,
      rows: taken.map((i) => answered.rows[i] as number),
      predictions,
      ...as,
    })
  }

  return {
    offer(request, catalog, groups) {
      if (request.version !== undefined || closed) return
      const model = catalog.models.get(request.model)
      const shadow = model?.shadow ?? null
      if (model === undefined || shadow === null) return
      try {
        const rule = shadowRule(catalog, model)
        if (rule === null) return
        const busy = isBusy()
        for (const answered of groups) {
          if (answered.model.version.version === shadow.version) continue
          const taken = rowsInShare(rule, request, answered)
          if (taken.length === 0) continue
          const job = { shadow: shadow.id, version: shadow.version, request, answered, taken, sinceMs: performance.now() }
          if (busy) drop(job, taken.length, 'busy')
          else queue.add(job)
        }
        schedule()
      } catch (error) {
        log.error({ error: messageOf(error) }, 'rows cannot be given to a shadow')
      }
    },
    close() {
      closed = true
      clearTimeout(timer ?? undefined)
      queue.clear()
    },
  }
}

/** Indexes in `answered.rows`. */
function rowsInShare(rule: RoutingRule, { entities, caller }: AnsweredRequest, { rows }: AnsweredRows): number[] {
  const rules = [rule]
  const taken: number[] = []
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number
    if (isInShare(rules, entities[row], row, caller.requestId)) taken.push(i)
  }
  return taken
}

/** A row without the unit's field was answered all the same, and is not in the share. */
function isInShare(rules: readonly RoutingRule[], entity: unknown, row: number, requestId: string): boolean {
  try {
    return routingTarget(rules, entity, row, requestId) !== null
  } catch {
    return false
  }
}
