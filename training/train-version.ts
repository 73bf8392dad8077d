import { constants } from 'node:fs'
import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { basename, join } from 'node:path'
import { withExternalData } from '../inference/external-data.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { isRecord } from '../kernel/is-record.ts'
import { formatTimestamp } from '../kernel/values/time.ts'
import { hashFile } from '../offline/files/hash-file.ts'
import type { JoinProgress } from '../offline/join.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { ModelVersion } from '../registry/models/model-versions.ts'
import { listModelVersions } from '../registry/models/model-versions.ts'
import type { Decision, MeasuredFigure, TrainingEvaluation, TrainingPart, TrainingResult } from '../registry/trainings/training-run.ts'
import { actorOfRun } from '../registry/trainings/training-run.ts'
import { faultPoint } from '../runtime/fault-point.ts'
import type { StepContext } from '../runtime/jobs/job-kind.ts'
import { pushVersion } from '../serving/models/push-version.ts'
import { decide } from './decide.ts'
import { evaluateCandidate } from './evaluate-candidate.ts'
import { readReport } from './read-report.ts'
import type { TrainerOutput } from './run-trainer.ts'
import { runTrainer, trainerFailed } from './run-trainer.ts'
import { trainerPath } from './trainers.ts'
import type { TrainingJob, TrainingTools } from './training-job.ts'
import type { TrainedModel } from './trained-model.ts'
import { findTrained, forgetTrained, keepTrained, workPrefix } from './trained-model.ts'
import type { TrainingSet } from './training-set.ts'
import { runFolder, trainingSet } from './training-set.ts'

/** The record of a run in the metadata of its version, under `training`. */
interface RunFacts {
  readonly name: string
  readonly job: number
  readonly trainer: string
  /** RFC 3339. */
  readonly from: string
  readonly split: string
  readonly to: string
  readonly rows: TrainingResult['rows']
  readonly evaluation: TrainingEvaluation
  readonly decisions: readonly Decision[]
  readonly seconds: TrainingResult['seconds']
}

/** Says what the run is at. */
export function reportPart({ progress }: Pick<StepContext, 'progress'>, part: TrainingPart, done = 0, total = 0): void {
  progress(done, total, part)
}

/** Writes the training set, runs the trainer, decides, and registers the version: one version for each run. */
export async function trainVersion(tools: TrainingTools, job: TrainingJob, step: StepContext): Promise<TrainingResult> {
  const { training: spec } = job.spec
  const folder = runFolder(tools.folder, spec.name, job.plan.dataset)
  const earlier = (await listModelVersions(tools.db, spec.model)).find(isOf(job))
  if (earlier !== undefined) {
    await forgetTrained(folder)
    return resultOf(earlier, job)
  }
  const known = await tools.catalog()
  const service = known.service(known.model(spec.model).spec.service)
  const begun = performance.now()
  const { signal } = step
  reportPart(step, 'training set')
  const onProgress = ({ step: half, done, total }: JoinProgress): void =>
    reportPart(step, half === 'join' ? 'features' : 'training set', done, total)
  const set = await trainingSet(tools.db, service, spec, job.plan, { folder, signal, onProgress })
  faultPoint('training: set written')
  const seconds = { dataset: rounded(performance.now() - begun) }
  reportPart(step, 'trainer')
  const trained = (await findTrained(folder, set)) ?? (await train(tools, job, set, folder, signal))
  const result = await registerIfGood(tools, job, step, { known, set, trained, seconds: { ...seconds, trainer: trained.seconds } })
  await forgetTrained(folder)
  return result
}

interface Candidate {
  readonly known: Catalog
  readonly set: TrainingSet
  readonly trained: TrainedModel
  readonly seconds: TrainingResult['seconds']
}

/** Judges what the trainer made, and registers it if it meets all requirements. */
async function registerIfGood(
  tools: TrainingTools,
  job: TrainingJob,
  step: StepContext,
  { known, set, trained, seconds }: Candidate,
): Promise<TrainingResult> {
  const { training: spec } = job.spec
  const { bytes, report, log } = trained
  reportPart(step, 'evaluation')
  const measured = await evaluateCandidate(tools, known, spec, {
    bytes,
    dataset: set.manifest.id,
    signal: step.signal,
    onRows: (done) => reportPart(step, 'evaluation', done, set.test.rows),
  }).catch((error: unknown) => {
    throw withDetails(error, { dataset: set.manifest.id, log })
  })
  const figures = valuesOf(measured.candidate)
  const metrics = { ...report.metrics, ...figures }
  const decisions = decide(spec.require, metrics, measured)
  const evaluation = { ...measured, notes: [...measured.notes, ...differences(report.metrics, figures)] }
  const rows = { train: set.train.rows, test: set.test.rows }
  const { parameters } = report
  const made = { dataset: set.manifest.id, rows, metrics, parameters, evaluation, decisions, deployed: null, log, seconds }
  const refused = decisions.some(({ holds }) => !holds)
  if (refused) return { ...made, outcome: 'refused', version: null, known: false }
  if (!(await step.isHeld())) throw new LockstepError('STOPPED', `The run ${job.id} has ended, or another worker has it.`)
  reportPart(step, 'registration')
  const { from, split, to } = job.plan
  const times = { from: formatTimestamp(from), split: formatTimestamp(split), to: formatTimestamp(to) }
  const facts: RunFacts = { name: spec.name, job: job.id, trainer: spec.trainer, ...times, rows, evaluation, decisions, seconds }
  const pushed = await pushVersion(tools.db, {
    model: spec.model,
    bytes,
    file: 'model.onnx',
    metrics,
    params: { ...spec.parameters, ...parameters },
    metadata: { training: facts },
    dataset: set.manifest.id,
    actor: actorOfRun(job),
    isEarlier: isOf(job),
    untried: false,
  }).catch((error: unknown) => {
    throw withDetails(error, { dataset: set.manifest.id, log })
  })
  faultPoint('training: version registered')
  return { ...made, outcome: 'registered', version: pushed.version, known: !pushed.created }
}

/** A sentence for each metric that the trainer reported and Lockstep measured otherwise. */
function differences(reported: Readonly<Record<string, number>>, measured: Readonly<Record<string, number>>): string[] {
  // the trainer may compute with other float types, so the digits that are shown count
  const shown = (value: number): string => String(Number(value.toPrecision(4)))
  return Object.entries(reported).flatMap(([name, value]) => {
    const own = Object.hasOwn(measured, name) ? measured[name] : undefined
    if (own === undefined || shown(own) === shown(value)) return []
    return [
      `The trainer reported ${name} ${shown(value)}, and Lockstep measured ${shown(own)} on the test rows. The version keeps ${shown(own)}.`,
    ]
  })
}

async function train(
  { trainers }: TrainingTools,
  job: TrainingJob,
  set: TrainingSet,
  folder: string,
  signal: AbortSignal,
): Promise<TrainedModel> {
  const { training: spec } = job.spec
  const path = trainers === null ? null : await trainerPath(trainers, spec.trainer)
  // INTERNAL, as another worker may have it
  if (path === null) throw new LockstepError('INTERNAL', `The trainer "${spec.trainer}" is not in "${trainers}" any more.`)
  const work = await freshFolder(folder)
  const model = join(work, 'model.onnx')
  try {
    const { from, split, to } = job.plan
    const run = {
      path,
      args: [set.train.path, set.test.path, model],
      env: {
        TRAINING_NAME: spec.name,
        TRAINING_MODEL: spec.model,
        TRAINING_PARAMETERS: JSON.stringify(spec.parameters),
        TRAINING_LABEL: spec.label,
        TRAINING_FEATURES: JSON.stringify(set.features),
        TRAINING_TYPES: JSON.stringify(Object.fromEntries(set.manifest.columns.map(({ name, type }) => [name, type]))),
        TRAINING_TIME: set.manifest.spine.time,
        TRAINING_FROM: formatTimestamp(from),
        TRAINING_SPLIT: formatTimestamp(split),
        TRAINING_TO: formatTimestamp(to),
        TRAINING_DATASET: set.manifest.id,
      },
      cwd: work,
      timeoutMicros: spec.timeoutMicros,
    }
    const begun = performance.now()
    const output: TrainerOutput = await runTrainer(run, signal)
    const seconds = rounded(performance.now() - begun)
    const report = readReport(output)
    for (const { path, sha256 } of [set.train, set.test]) {
      const now = await hashFile(path, signal).catch(() => null)
      signal.throwIfAborted()
      if (now !== sha256) throw trainerFailed(`changed "${basename(path)}", which it may only read`, output.log)
    }
    const bytes = await readModel(model).catch((cause: unknown) => {
      throw trainerFailed(`ended well, and wrote no model to its third argument (${messageOf(cause)})`, output.log)
    })
    const trained: TrainedModel = { bytes, report, log: output.log, seconds }
    // what cannot be kept, as on a full disk, is trained again if another attempt needs it
    await keepTrained(folder, model, trained, set).catch(() => undefined)
    faultPoint('training: model kept')
    return trained
  } catch (error) {
    throw withDetails(error, { dataset: set.manifest.id })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

const maxModelBytes = 1_000_000_000

/**
 * Reads a model that a program has written, and makes it one file if it has values in files beside it. The open does
 * not wait, as that of a FIFO would.
 */
async function readModel(path: string): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw new Error(`"${basename(path)}" is not a regular file`)
    if (stats.size > maxModelBytes)
      throw new Error(`"${basename(path)}" has ${stats.size} bytes, and a model may have at most ${maxModelBytes}`)
    const bytes = await file.readFile()
    const whole = await withExternalData(bytes, path, maxModelBytes)
    if (whole !== bytes) await writeFile(path, whole)
    return whole
  } finally {
    await file.close()
  }
}

/** A working directory for one attempt. What killed attempts have left is removed. */
async function freshFolder(own: string): Promise<string> {
  await forgetTrained(own)
  const work = join(own, `${workPrefix}${randomUUID()}`)
  await mkdir(work)
  return work
}

function factsOf({ metadata }: ModelVersion): RunFacts | null {
  const { training } = metadata
  return isRecord(training) ? (training as unknown as RunFacts) : null // trainVersion alone writes it
}

function isOf(job: TrainingJob): (version: ModelVersion) => boolean {
  return (version) => {
    const facts = factsOf(version)
    return facts?.job === job.id && facts.name === job.subject
  }
}

/** The result of an attempt that ended after it had registered its version. */
function resultOf(version: ModelVersion, job: TrainingJob): TrainingResult {
  const { rows, evaluation, decisions, seconds } = factsOf(version) as RunFacts // it is of the run
  return {
    outcome: 'registered',
    dataset: version.dataset ?? job.plan.dataset,
    rows,
    version: version.version,
    known: false,
    metrics: version.metrics,
    parameters: version.params,
    evaluation,
    decisions,
    deployed: null,
    log: '',
    seconds,
  }
}

function withDetails(error: unknown, details: Readonly<Record<string, unknown>>): unknown {
  if (!(error instanceof LockstepError)) return error
  return new LockstepError(error.code, error.message, { cause: error, details: { ...error.details, ...details } })
}

function valuesOf(figures: Readonly<Record<string, MeasuredFigure>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, { value }]) => [name, value]))
}

function rounded(milliseconds: number): number {
  return Number((milliseconds / 1000).toFixed(3))
}
