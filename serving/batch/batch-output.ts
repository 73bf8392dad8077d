import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import type { DatasetOutput } from '../../offline/files/dataset-writer.ts'
import { isTableUrl } from '../../registry/define/batch-output-fields.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { BatchManifest, BatchPart, BatchSpec } from './batch-spec.ts'
import { createFolderOutput } from './folder-output.ts'
import { createTableOutput } from './table-output.ts'

export type WrittenBatchPart = Pick<BatchPart, 'name' | 'rows' | 'bytes' | 'sha256' | 'etag'>

/**
 * Where the rows of a batch go. A part is written completely or not at all, and once, whichever workers write it.
 * Readers see the rows of a batch that is complete, and know it.
 */
export interface BatchOutput {
  /**
   * Refuses what would replace another batch, or another output than a batch writes.
   *
   * @throws LockstepError `FILE_EXISTS`; of a table `COLUMNS_MISMATCH`, `WRITE_FAILED`
   */
  begin(columns: readonly Column<ValueType>[], time: string): Promise<void>
  /** Takes the rows of a part. Its `seal` keeps them. */
  part(part: number, columns: readonly Column<ValueType>[]): Promise<DatasetOutput<WrittenBatchPart>>
  /**
   * Makes the batch complete for readers. Repeating it changes nothing.
   *
   * @throws LockstepError `FILE_CHANGED` where a part is no longer there; `FILE_EXISTS`
   */
  complete(manifest: BatchManifest): Promise<void>
  /** Removes parts that came after the end of their batch, unless a new run of the batch has taken them over. */
  remove(parts: readonly Pick<BatchPart, 'name' | 'sha256'>[]): Promise<void>
  /** Removes all of a batch that failed or was cancelled, unless it is complete. */
  clean(parts: readonly Pick<BatchPart, 'name' | 'sha256'>[]): Promise<void>
}

export function createBatchOutput(db: Database, job: number, spec: BatchSpec, signal?: AbortSignal): BatchOutput {
  return isTableUrl(spec.request.out) ? createTableOutput(db, job, spec, signal) : createFolderOutput(db, job, spec)
}
