import { appendFile, copyFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { InParquet } from '../offline/duckdb/in-parquet.ts'

/** A training set, with its spine and its sources as Parquet files. */
export interface Trained extends InParquet {
  readonly name: string
  readonly time: string
  /** The file. */
  readonly expected: string
}

/** @param writePlan writes its plan to a path */
export type OnTrained = (trained: Trained, writePlan: (path: string) => Promise<unknown>) => Promise<void>

/** The folder that training sets are recorded in, for test/peers/spark.ts. Absent: they are not recorded. */
export const recordFolder = process.env['LOCKSTEP_TEST_RECORD']

/** Records a training set with its plan, so that another engine can make it again. */
export const recordTraining: OnTrained = async ({ name, time, ...files }, writePlan) => {
  if (recordFolder === undefined) return
  const kept = async (path: string): Promise<string> => {
    const to = join(recordFolder, basename(path))
    await copyFile(path, to)
    return to
  }
  const plan = join(recordFolder, `${name}.lockstep`)
  await writePlan(plan)
  const sources = []
  for (const { source, path } of files.sources) sources.push({ source, path: await kept(path) })
  const recorded = { name, time, plan, sources, spine: await kept(files.spine), expected: await kept(files.expected) }
  await appendFile(join(recordFolder, 'cases.jsonl'), `${JSON.stringify(recorded)}\n`)
}
