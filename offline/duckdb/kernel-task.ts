import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { PartitionOptions } from '../partition/fold-partition.ts'
import type { ResultChunk } from '../result-buckets.ts'
import { createResultFile } from '../result-buckets.ts'
import type { Spine } from '../spine/spine.ts'
import { answerPasses, plansByMapping } from './answer-passes.ts'
import { parquetSql } from './duckdb-columns.ts'
import type { DuckDbLimits } from './open-duckdb.ts'
import { openDuckDb } from './open-duckdb.ts'
import type { KeyShare, PassTable } from './pass-sql.ts'

/** The task of one of several processes of a join: it answers the questions of a share of the keys. As JSON. */
export interface KernelTask {
  readonly share: KeyShare
  /** A Parquet file with the questions: the columns of the spine's table. */
  readonly questions: string
  readonly spine: Pick<Spine, 'columns' | 'time'>
  /** By name of the source. */
  readonly sources: readonly (readonly [
    string,
    Pick<PassTable, 'paths' | 'fromMicros'> & { readonly types: readonly [string, string][] },
  ])[]
  readonly fold: PartitionOptions
  readonly limits: DuckDbLimits
  /** Where the answers are written. */
  readonly out: string
}

/** Processes that share the work of a join. */
export interface KernelProcesses {
  /** How many there may be. */
  readonly max: number
  /**
   * Runs one process for each task.
   *
   * @param onAnswers called with the answers of all tasks so far
   * @returns by task: what its file of answers has
   * @throws LockstepError what a task throws; the other processes are ended
   */
  run(
    service: ServicePlan,
    tasks: readonly KernelTask[],
    options: { readonly signal: AbortSignal | undefined; readonly onAnswers: (done: number) => void },
  ): Promise<(readonly ResultChunk[])[]>
}

/** Does a task in this process. */
export async function runKernelTask(
  service: ServicePlan,
  { share, questions, spine, sources, fold, limits, out }: KernelTask,
  onAnswers: (done: number) => void,
): Promise<readonly ResultChunk[]> {
  const db = await openDuckDb(limits)
  const results = await createResultFile(plansByMapping(service), out)
  try {
    const tables = new Map(sources.map(([name, table]) => [name, { ...table, types: new Map(table.types) }]))
    const options = { ...fold, share, signal: undefined, onAnswers }
    await answerPasses(db, service, { ...spine, table: parquetSql([questions]) }, tables, results, options)
    return results.chunks
  } finally {
    await results.close()
    await db.close()
  }
}
