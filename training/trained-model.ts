import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '../registry/sha256.ts'
import type { TrainerReport } from './read-report.ts'
import type { TrainingSet } from './training-set.ts'

/** A model that a trainer made of a training set. */
export interface TrainedModel {
  readonly bytes: Uint8Array
  readonly report: TrainerReport
  /** The end of what it wrote. */
  readonly log: string
  readonly seconds: number
}

/** The JSON file beside the model file. */
interface Kept extends Omit<TrainedModel, 'bytes'> {
  readonly sha256: string
  /** The hashes of the files that it was trained and tested on. */
  readonly rows: readonly string[]
}

/** The prefix of the names of trainers' working directories. */
export const workPrefix = 'work-'
const [modelName, factsName] = ['trained.onnx', 'trained.json'] as const

/**
 * Keeps a model in the folder of its run until the run has judged it: an attempt after an outage or a kill needs no
 * second training.
 *
 * @param path of the model file, which is moved
 */
export async function keepTrained(folder: string, path: string, { bytes, ...rest }: TrainedModel, set: TrainingSet): Promise<void> {
  const kept: Kept = { ...rest, sha256: sha256(bytes), rows: hashes(set) }
  const [model, facts] = [join(folder, modelName), join(folder, factsName)]
  await rename(path, model)
  await writeFile(`${facts}.new`, JSON.stringify(kept))
  await rename(`${facts}.new`, facts)
}

/** The model that an earlier attempt of the run has kept; null: none, or one of other rows. */
export async function findTrained(folder: string, set: TrainingSet): Promise<TrainedModel | null> {
  try {
    // keepTrained alone writes it
    const { sha256: hash, rows, ...rest } = JSON.parse(await readFile(join(folder, factsName), 'utf8')) as Kept
    const bytes = await readFile(join(folder, modelName))
    return sha256(bytes) === hash && rows.join() === hashes(set).join() ? { ...rest, bytes } : null
  } catch {
    return null
  }
}

/** Removes what attempts of a run have left beside its training set. */
export async function forgetTrained(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter((each) => each.startsWith('trained.') || each.startsWith(workPrefix)))
    await rm(join(folder, name), { recursive: true, force: true })
}

function hashes({ train, test }: TrainingSet): string[] {
  return [train.sha256, test.sha256]
}
