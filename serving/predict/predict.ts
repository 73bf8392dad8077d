import { LockstepError } from '../../kernel/errors.ts'
import type { Prediction } from '../../inference/load-model.ts'
import type { Role, ServedAs } from '../../monitoring/role.ts'
import type { ExposureRecorder } from '../../monitoring/exposures/exposure-recorder.ts'
import type { LoggedTimes } from '../../monitoring/prediction-log/logged-times.ts'
import type { PredictionLog } from '../../monitoring/prediction-log/prediction-log.ts'
import type { RollupRecorder } from '../../monitoring/rollups/rollup-recorder.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { traced, tracedNow } from '../../runtime/tracing/span.ts'
import type { FeatureRead } from '../features/read-features.ts'
import type { EntityRequest, FeatureContext } from '../features/read-request.ts'
import { featureMoment } from '../features/read-request.ts'
import type { ServedModel } from '../models/load-version.ts'
import type { ModelHost } from '../models/model-host.ts'
import type { Bypass } from '../rollouts/bypass.ts'
import { noteExposures } from './note-exposures.ts'
import type { ShadowRunner } from '../rollouts/shadow-runner.ts'
import { requireTime } from '../traffic/request-deadline.ts'
import type { VersionAssignment } from './assign-versions.ts'
import { readAll, readGroups } from './read-groups.ts'
import { runGroups } from './run-groups.ts'

/** The dependencies of predictions. */
export interface PredictContext extends FeatureContext {
  /** @throws LockstepError `NOT_READY` */
  readonly catalog: () => Catalog
  readonly models: Pick<ModelHost, 'use' | 'answering' | 'failureOf'>
  readonly predictionLog: Pick<PredictionLog, 'note'>
  readonly rollups: Pick<RollupRecorder, 'answered' | 'failed' | 'bypassed'>
  readonly shadows: Pick<ShadowRunner, 'offer'>
  readonly bypass: Bypass
  readonly exposures: Pick<ExposureRecorder, 'note'>
}

/** Who asks, for the prediction log. */
export interface Caller {
  readonly requestId: string
  /** As `predictionBase` makes it. */
  readonly predictionBase: string
  /** When the request arrived, milliseconds of `performance.now()`. */
  readonly startedMs: number
  /** The id of the API key; null: the request has none. */
  readonly apiKey: string | null
}

/** A request for predictions, whatever protocol it came by. Each of its `entities` is a row. */
export interface PredictRequest extends EntityRequest {
  readonly model: string
  /** Absent: the version that serves requests by default. */
  readonly version?: VersionReference | undefined
  readonly caller: Caller
  /** Absent: the current one. */
  readonly catalog?: Catalog
}

/** Rows that one version served. */
export interface PredictedGroup extends ServedAs {
  readonly model: ServedModel
  /** Indexes of the rows in the request, ascending. */
  readonly rows: readonly number[]
  /** As `VersionAssignment` has it. */
  readonly place: number | undefined
  /** The read of the version's feature service. Its entities and rows are by index of `rows`. */
  readonly read: FeatureRead
}

/** How the features of a request were read. */
export type ReadSummary = Pick<FeatureRead, 'asOf' | 'skewed' | 'degraded' | 'staleMs' | 'late'>

export interface Predicted {
  /** Every row of the request is in exactly one group. */
  readonly groups: readonly PredictedGroup[]
  /** The summary of the reads of all groups, which have one moment. */
  readonly read: ReadSummary
  /** By row of the request. */
  readonly predictions: readonly Prediction[]
}

/**
 * Predicts the rows of a request by given assignments of rows to versions, and notes them in the prediction log. Each
 * version gets the features of its service, all at one moment. Versions with the same service share one read.
 *
 *     parse rows -> read features -> evaluate -> run models -> encode the answer -> log
 *
 * Rows of a shadow are only queued here. They run after the answer has left.
 *
 * @param encode makes the answer, while the models are loaded. If it throws, nothing is logged.
 * @throws LockstepError `UNKNOWN_DEFINITION`, `DEADLINE_EXCEEDED`, and what the model host, the read of features and
 *   the models throw
 */
export async function predictAssigned<Answer>(
  context: PredictContext,
  request: PredictRequest,
  assignments: readonly VersionAssignment[],
  encode: (predicted: Predicted) => Answer,
  onFailed: (failure: Failure) => void = (failure) => reportFailure(context, request.model, failure),
): Promise<Answer> {
  const catalog = request.catalog ?? context.catalog()
  let chosen: readonly AssignedRows[] | null = null
  /** The versions that failed, if there are several; none: the request itself failed. */
  const failed: AssignedRows[] = []
  try {
    return await useVersions(context.models, catalog, request.model, assignments, [], (assigned) => {
      chosen = assigned
      return predictRows(context, catalog, request, assigned, encode, (g) => failed.push(assigned[g] as AssignedRows))
    })
  } catch (error) {
    const isTheirs = failed.length > 0
    onFailed({ error, isTheirs, versions: failedVersions(catalog, request.model, isTheirs ? failed : chosen) })
    throw error
  }
}

/** @param versions null: none was chosen */
function failedVersions(catalog: Catalog, name: string, versions: readonly AssignedRows[] | null): readonly FailedVersion[] {
  if (versions !== null) return versions.map(({ model, role }) => ({ version: model.version.version, role, served: model }))
  // names that are no models must not get rollups
  return catalog.models.has(name) ? [{ version: 0, role: 'champion', served: null }] : []
}

/** Why rows were not predicted. */
export interface Failure {
  readonly error: unknown
  /** Whether the versions themselves failed; false: the request did, with all of its versions. */
  readonly isTheirs: boolean
  readonly versions: readonly FailedVersion[]
}

export interface FailedVersion {
  /** 0: none was chosen. */
  readonly version: number
  readonly role: Role
  /** null: none was chosen, or it did not answer in time. */
  readonly served: ServedModel | null
}

/** A request has failed. @param isOfRows as `RollupRecorder.failed` has it */
export function reportFailure({ rollups }: PredictContext, model: string, { error, versions }: Failure, isOfRows = false): void {
  for (const { version, role, served } of versions) {
    rollups.failed(model, version, role, error, isOfRows)
    served?.requestFailed()
  }
}

async function predictRows<Answer>(
  context: PredictContext,
  catalog: Catalog,
  request: PredictRequest,
  assigned: readonly AssignedRows[],
  encode: (predicted: Predicted) => Answer,
  onFailed: (group: number) => void,
): Promise<Answer> {
  const { entities, deadline, span } = request
  const runMs = deadline === undefined ? 0 : predictedRunMs(assigned)
  const readMs = performance.now()
  requireTime(deadline, runMs, readMs)
  const moment = featureMoment(context, catalog, request, runMs)
  const [only] = assigned
  const reads =
    only !== undefined && only.rows.length === entities.length
      ? [await readAll(context, catalog, request, only, moment)]
      : await readGroups(context, catalog, request, assigned, moment, onFailed)
  const modelMs = performance.now()
  requireTime(deadline, runMs, modelMs)
  const groups = groupsOf(assigned, reads)
  let cacheHits: readonly number[] = []
  /** By group, of several. */
  const endedMs: number[] = []
  const predictions = await traced(span, 'run model', (own) => {
    own?.set({ 'lockstep.model': request.model, 'lockstep.versions': assigned.map(versionOf), 'lockstep.rows': entities.length })
    const running = runGroups(groups, entities.length, onFailed, endedMs)
    // a cache is asked before the call returns
    if (groups.some(({ model }) => model.last.cacheHits > 0)) cacheHits = groups.map(({ model }) => model.last.cacheHits)
    return running
  })
  const modelEndMs = performance.now()
  if (!isComplete(predictions)) throw new LockstepError('INTERNAL', 'A row of the request is assigned to no version.')
  const answer = tracedNow(span, 'encode', () => encode({ groups, read: summaryOf(reads), predictions }))
  const endMs = performance.now()
  // only what is answered is logged
  requireTime(deadline, 0, endMs)
  tracedNow(span, 'log', () => {
    const totalMs = endMs - request.caller.startedMs
    for (let g = 0; g < groups.length; g++) {
      const group = groups[g] as PredictedGroup
      const ranMs = Math.min(group.model.last.runMs, modelEndMs - modelMs)
      const times = {
        totalMs,
        receiveMs: readMs - request.caller.startedMs,
        featuresMs: modelMs - readMs,
        evaluateMs: group.read.evaluateMs,
        encodeMs: endMs - modelEndMs,
        waitMs: modelEndMs - modelMs - ranMs,
        runMs: ranMs,
        ownMs: ownMsOf(totalMs, modelEndMs, endedMs[g]),
      }
      note(context.predictionLog, request.caller, group, predictions, times)
      context.rollups.answered(group, predictions, times, cacheHits[g] ?? 0)
    }
  })
  if (groups.some(isArm)) noteExposures(context.exposures, catalog, request, groups)
  context.shadows.offer(request, catalog, groups)
  return answer
}

function groupsOf(assigned: readonly AssignedRows[], reads: readonly FeatureRead[]): PredictedGroup[] {
  // a literal: a spread copies each member by a call
  return assigned.map(({ model, rows, place, role, experiment, variant, bypassed }, g) => ({
    model,
    rows,
    place,
    role,
    experiment,
    variant,
    bypassed,
    read: reads[g] as FeatureRead,
  }))
}

/** @param endedMs when the group's own run ended; undefined: the request has one group */
function ownMsOf(totalMs: number, modelEndMs: number, endedMs: number | undefined): number | undefined {
  return endedMs === undefined ? undefined : totalMs - (modelEndMs - endedMs)
}

/** The first group of a request. What a model declares, such as its outputs, is the same in all groups. */
export function firstGroup({ groups }: Predicted): PredictedGroup {
  const [group] = groups
  if (group !== undefined) return group
  throw new LockstepError('INTERNAL', 'The request is assigned to no version.')
}

interface AssignedRows extends ServedAs {
  readonly model: ServedModel
  readonly rows: readonly number[]
  readonly place: number | undefined
}

/** Gives `fn` the versions of the assignments, which stay loaded until it is done. */
function useVersions<T>(
  models: PredictContext['models'],
  catalog: Catalog,
  name: string,
  assignments: readonly VersionAssignment[],
  assigned: readonly AssignedRows[],
  fn: (assigned: readonly AssignedRows[]) => Promise<T>,
): Promise<T> {
  const next = assignments[assigned.length]
  if (next === undefined) return fn(assigned)
  const useOne = (model: ServedModel): Promise<T> => {
    const { rows, place, experiment, variant, bypassed } = next
    const role = next.role === 'requested' && isDefault(models, catalog, model) ? 'champion' : next.role
    const own: AssignedRows = { model, rows, place, role, experiment, variant, bypassed }
    return useVersions(models, catalog, name, assignments, assigned.length === 0 ? [own] : [...assigned, own], fn)
  }
  return models.use(catalog, name, next.version, useOne, measuredTime)
}

/** A failure is counted only if no other version answers in its place. */
const measuredTime = { measured: 'time' } as const

/** Whether requests without a version get this one. */
function isDefault(models: PredictContext['models'], catalog: Catalog, { version }: ServedModel): boolean {
  return models.answering(catalog, catalog.model(version.model))?.version === version.version
}

function isArm({ experiment }: ServedAs): boolean {
  return experiment !== null
}

function versionOf({ model: { version } }: AssignedRows): string {
  return `${version.model}@${version.version}`
}

function isComplete(predictions: readonly (Prediction | null)[]): predictions is readonly Prediction[] {
  return !predictions.includes(null)
}

function predictedRunMs(assigned: readonly AssignedRows[]): number {
  let ms = 0
  for (const { model, rows } of assigned) ms += model.predictedRunMs(rows.length)
  return ms
}

function summaryOf(reads: readonly FeatureRead[]): ReadSummary {
  const [first] = reads
  if (first !== undefined && reads.length === 1) return first
  const stale = reads.flatMap(({ staleMs }) => staleMs ?? [])
  return {
    asOf: Math.max(...reads.map(({ asOf }) => asOf)),
    skewed: reads.some(({ skewed }) => skewed),
    degraded: reads.some(({ degraded }) => degraded),
    staleMs: stale.length === 0 ? null : Math.max(...stale),
    late: [...new Set(reads.flatMap(({ late }) => late))],
  }
}

function note(
  log: Pick<PredictionLog, 'note'>,
  { requestId, predictionBase, startedMs, apiKey }: Caller,
  { model: { version: served, service, outputs }, rows, read, role, experiment, variant, bypassed }: PredictedGroup,
  all: readonly Prediction[],
  times: LoggedTimes,
): void {
  const predictions = rows.length === all.length ? all : rows.map((row) => all[row] as Prediction)
  const { model, version } = served
  log.note({
    requestId,
    predictionBase,
    startedMs,
    times,
    apiKey,
    model,
    version,
    service,
    outputs,
    read,
    rows,
    predictions,
    role,
    experiment,
    variant,
    bypassed,
  })
}
