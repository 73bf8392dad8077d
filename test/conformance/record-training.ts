import { appendFile, copyFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Trained } from './lockstep/lockstep-adapter.ts'

/** The folder that training sets are recorded in, for test/peers/spark.ts. Absent: they are not recorded. */
const folder = process.env['LOCKSTEP_TEST_RECORD']

/** Records a training set with its plan, so that another engine can make it again. */
export async function recordTraining(trained: Trained, lockstep: (...words: readonly string[]) => Promise<string>): Promise<void> {
  if (folder === undefined) return
  const kept = async (path: string): Promise<string> => {
    const to = join(folder, basename(path))
    await copyFile(path, to)
    return to
  }
  const plan = join(folder, `${trained.name}.lockstep`)
  await lockstep('export-plan', trained.service, '--out', plan, '--overwrite', ...trained.rule)
  const sources = []
  for (const { source, path } of trained.sources) sources.push({ source, path: await kept(path) })
  const { name, time } = trained
  const recorded = { name, time, plan, sources, spine: await kept(trained.spine), expected: await kept(trained.expected) }
  await appendFile(join(folder, 'cases.jsonl'), `${JSON.stringify(recorded)}\n`)
}
