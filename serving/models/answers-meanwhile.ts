import { setTimeout as sleep } from 'node:timers/promises'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { AnsweringVersions } from './answering-versions.ts'
import type { LoadedVersions } from './loaded-versions.ts'

export interface ChoosingVersions {
  readonly catalog: Catalog
  /** The models without a version that is loaded. */
  readonly left: ReadonlySet<string>
  /** Ends once all versions have loaded or failed. */
  readonly choosing: Promise<unknown>
}

export interface MeanwhileDeps {
  readonly loaded: Pick<LoadedVersions, 'isInSlowTrial'>
  readonly answers: Pick<AnsweringVersions, 'now' | 'loadedFor'>
  /** Milliseconds; undefined: as long as it takes. */
  readonly patienceMs: number | undefined
}

const lookMs = 100

/**
 * Waits for the versions of a catalog, as long as the patience is not over.
 *
 * @returns what answers while the rest loads; null: all is loaded, or must be
 */
export async function answersMeanwhile(
  { catalog, left, choosing }: ChoosingVersions,
  { loaded, answers, patienceMs }: MeanwhileDeps,
): Promise<ReadonlyMap<string, ModelVersion> | null> {
  if (patienceMs === undefined) return null
  const timeout = sleep(patienceMs, 'timeout' as const, { ref: false })
  if ((await Promise.race([choosing, timeout])) !== 'timeout') return null
  const found = answers.loadedFor(catalog)
  if (found !== null || answers.now.size > 0) return found
  return (await isLeftToTrials(left, choosing, loaded)) ? new Map() : null
}

/** Whether a start need not wait for the models that are left, because the trial of each takes long. */
async function isLeftToTrials(
  left: ReadonlySet<string>,
  choosing: Promise<unknown>,
  { isInSlowTrial }: MeanwhileDeps['loaded'],
): Promise<boolean> {
  let over = false
  const done = choosing.finally(() => (over = true))
  done.catch(() => undefined)
  while (!over) {
    if (left.size > 0 && [...left].every(isInSlowTrial)) return true
    await Promise.race([done, sleep(lookMs, undefined, { ref: false })])
  }
  return false
}
