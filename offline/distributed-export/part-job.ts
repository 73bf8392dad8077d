import { gunzipSync, gzipSync } from 'node:zlib'
import type { ErrorCode } from '../../kernel/errors.ts'
import type { SpineRange } from '../dataset-parts.ts'
import type { DatasetRecipe } from '../dataset-recipe.ts'
import type { WrittenFile } from '../files/dataset-writer.ts'
import type { StoredSpine } from '../spine/spine.ts'
import type { StatisticsState } from '../profile/column-statistics.ts'

/** What one worker is to do: the rows of one range of a spine, seen as all parts of the export see them. */
export interface PartJob extends Pick<DatasetRecipe, 'rule' | 'asOf' | 'knownBefore' | 'columns' | 'dropIncomplete' | 'format'> {
  /** From 0, of `parts`. */
  readonly part: number
  readonly parts: number
  readonly range: SpineRange
  readonly service: { readonly id: string; readonly fingerprint: string }
  readonly spine: StoredSpine
  /** The `xmin` of the first snapshot, below which all is settled. */
  readonly arrivedBefore: number
  /** Where the file is written, under a name that nobody else takes, until all parts are there. */
  readonly folder: string
}

export type PartResult = WrittenPart | RefusedPart

export interface WrittenPart extends WrittenFile {
  readonly part: number
  readonly worker: string
  /** The name of the file in the job's folder. */
  readonly file: string
  readonly missing: { readonly rows: number; readonly byFeature: Readonly<Record<string, number>> }
  readonly statistics: StatisticsState
}

/** What another worker would fail of, too. */
export interface RefusedPart {
  readonly part: number
  readonly worker: string
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: Readonly<Record<string, unknown>> }
}

const prefix = 'dataset.'

/** The queue of the export whose spine has that number. */
export function queueOf(spine: number): string {
  return `${prefix}${spine}`
}

export function spineOfQueue(queue: string): number {
  return Number(queue.slice(prefix.length))
}

export const allQueues = prefix

/**
 * Packed, since the statistics of texts are long, and hold what a database takes in no JSON: zeros, and halves of
 * characters.
 */
export function packResult(result: PartResult): { readonly packed: string } {
  const text = JSON.stringify(result, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
  return { packed: gzipSync(text).toString('base64') }
}

export function unpackResult(packed: unknown): PartResult {
  // made by packResult alone
  return JSON.parse(gunzipSync(Buffer.from((packed as ReturnType<typeof packResult>).packed, 'base64')).toString()) as PartResult
}
