import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError } from '../kernel/errors.ts'
import { quotedNames } from '../kernel/values/quoted-names.ts'
import { fillInterval } from '../kernel/values/interval-text.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import { formatTimestamp, parseTimestamp } from '../kernel/values/time.ts'
import { createDataset } from '../offline/datasets/dataset.ts'
import type { DatasetFile, DatasetManifest } from '../offline/datasets/dataset-manifest.ts'
import { filesOf } from '../offline/datasets/dataset-manifest.ts'
import { hashFile } from '../offline/files/hash-file.ts'
import type { JoinProgress } from '../offline/join.ts'
import { findDataset } from '../offline/datasets/stored-datasets.ts'
import type { TrainingPlan } from '../registry/trainings/training-run.ts'
import type { TrainingSpec } from '../registry/trainings/training-spec.ts'
import { writeFailed } from '../runtime/files/place-files.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { sqlIdentifier } from '../runtime/postgres/sql.ts'

/** The training set of a run, as this process can read it. */
export interface TrainingSet {
  readonly manifest: DatasetManifest
  readonly train: DatasetFile
  readonly test: DatasetFile
  /** The features of the model's service, in order. */
  readonly features: readonly string[]
}

export interface SetOptions {
  /** The folder of the run. */
  readonly folder: string
  readonly signal: AbortSignal
  readonly onProgress: (progress: JoinProgress) => void
}

/** The folder of a run: its training set, and the work of its trainer. @param folder that of all trainings */
export function runFolder(folder: string, training: string, dataset: string): string {
  return join(folder, training, dataset)
}

/**
 * Writes the training set of a run, unless an earlier attempt did so and its files are here. Each attempt writes the
 * same rows under the same id. A set that the training cannot use is not registered.
 *
 * @throws LockstepError `SPINE_INVALID` where a part has no rows, or the label is not a column; what `createDataset`
 *   throws
 */
export async function trainingSet(
  db: Database,
  service: ServicePlan,
  spec: TrainingSpec,
  plan: TrainingPlan,
  { folder, signal, onProgress }: SetOptions,
): Promise<TrainingSet> {
  const out = join(folder, `set.${spec.format}`)
  const manifest = (await written(db, plan.dataset, service, out, signal)) ?? (await write())
  const [train, test] = checkedParts(spec, plan, manifest)
  return { manifest, train, test, features: manifest.columns.flatMap(({ name, from }) => (from === 'feature' ? [name] : [])) }

  async function write(): Promise<DatasetManifest> {
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
      throw writeFailed(folder, cause)
    })
    return await createDataset(db, service, {
      identity: { id: plan.dataset, createdAt: plan.createdAt },
      spine: { sql: fillInterval(spec.spine.sql, plan) },
      out,
      format: spec.format,
      split: [plan.split],
      asOf: spec.asOf,
      ...(spec.time === null ? {} : { time: spec.time }),
      arrivedBefore: plan.arrivedBefore,
      overwrite: true,
      check: (manifest) => void checkedParts(spec, plan, manifest),
      signal,
      onProgress,
    })
  }
}

/** The manifest of a set that is complete, has the features of now, and whose files this process finds unchanged. */
async function written(db: Database, id: string, service: ServicePlan, out: string, signal: AbortSignal): Promise<DatasetManifest | null> {
  const here = await access(`${out}.manifest.json`).then(
    () => true,
    () => false,
  )
  if (!here) return null
  const found = await findDataset(db, id).catch(() => null)
  if (found === null || found.fingerprint !== service.fingerprint) return null
  for (const file of filesOf(found.manifest)) if ((await hashFile(file.path, signal)) !== file.sha256) return null
  return found.manifest
}

/** The parts of a set that the training can use. @throws LockstepError `SPINE_INVALID` */
function checkedParts(spec: TrainingSpec, plan: TrainingPlan, manifest: DatasetManifest): readonly [train: DatasetFile, test: DatasetFile] {
  const part = (name: 'train' | 'test'): DatasetFile => {
    const file = filesOf(manifest).find((each) => each.part === name)
    if (file !== undefined && file.rows > 0) return file
    throw noRows(spec, plan, name)
  }
  const parts = [part('train'), part('test')] as const
  requireLabel(spec, manifest)
  requireInterval(spec, plan, manifest)
  return parts
}

function noRows({ name }: TrainingSpec, plan: TrainingPlan, part: 'train' | 'test'): LockstepError {
  const [from, to] = part === 'train' ? [plan.from, plan.split] : [plan.split, plan.to]
  const what = part === 'train' ? 'to train on' : 'to test on'
  return new LockstepError(
    'SPINE_INVALID',
    `The spine of the training "${name}" has no rows ${what}, from ${formatTimestamp(from)} to ${formatTimestamp(to)}. Load rows of that time, or change the window, mature or test of the training.`,
    { details: { training: name, part } },
  )
}

function requireLabel({ name, label }: TrainingSpec, { columns }: DatasetManifest): void {
  const own = columns.filter(({ from }) => from === 'spine').map((column) => column.name)
  if (own.includes(label)) return
  throw new LockstepError(
    'SPINE_INVALID',
    `The spine of the training "${name}" has no column "${label}", which is its label. It has ${quotedNames(own)}.`,
    { details: { training: name, column: label } },
  )
}

/** A row later than the interval has a label that is not mature. */
function requireInterval({ name }: TrainingSpec, { from, to }: TrainingPlan, manifest: DatasetManifest): void {
  const { spine } = manifest
  const ends = filesOf(manifest).flatMap(({ statistics }) => {
    const times = statistics.find(({ column }) => column === spine.time)?.times
    return [times?.min, times?.max].flatMap((end) => (end === null || end === undefined ? [] : [parseTimestamp(end)]))
  })
  const outside = ends.find((time) => time < from || time >= to)
  if (outside === undefined) return
  throw new LockstepError(
    'SPINE_INVALID',
    `The spine of the training "${name}" has rows outside of its interval, from ${formatTimestamp(from)} to ${formatTimestamp(to)}, such as one at ${formatTimestamp(outside)}. Write where ${sqlIdentifier(spine.time)} >= '{from}' and ${sqlIdentifier(spine.time)} < '{to}'.`,
    { details: { training: name, column: spine.time } },
  )
}
