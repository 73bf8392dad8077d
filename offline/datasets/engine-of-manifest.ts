import { LockstepError } from '../../kernel/errors.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { DatasetManifest } from './dataset-manifest.ts'
import { createDuckDbEngine } from '../duckdb/duckdb-engine.ts'
import type { SourceFiles } from '../duckdb/source-files.ts'
import { requireUnchanged } from '../duckdb/source-files.ts'
import type { JoinEngine } from '../join-engine.ts'
import { postgresEngine } from '../join-engine.ts'

/**
 * Calls `fn` with an engine that reads the rows of a training set again.
 *
 * @throws LockstepError `FILE_CHANGED`, `FILE_UNREADABLE` where a file of a source is not what it was; `UNSUPPORTED`
 *   for a set that another program has written
 */
export async function withEngineOf<T>(
  db: Database,
  { engine }: Pick<DatasetManifest, 'engine'>,
  signal: AbortSignal | undefined,
  fn: (engine: JoinEngine) => Promise<T>,
): Promise<T> {
  if (engine === undefined) return await fn(postgresEngine(db))
  if (engine.name === 'external')
    throw new LockstepError(
      'UNSUPPORTED',
      'Another engine wrote this training set, so Lockstep cannot read its rows again. Register the folder again for a new baseline.',
    )
  for (const source of engine.sources) await requireUnchanged(source, signal)
  const [partly, wholly] = [
    engine.sources.filter(({ from }) => from !== undefined),
    engine.sources.filter(({ from }) => from === undefined),
  ]
  const pathsOf = ({ files }: SourceFiles): string[] => files.map(({ path }) => path)
  const opened = await createDuckDbEngine({
    sources: new Map(wholly.map((each) => [each.source, pathsOf(each)])),
    declared: new Map(partly.map((each) => [each.source, { patterns: pathsOf(each), fromMicros: parseTimestamp(each.from as string) }])),
  })
  try {
    return await fn(opened)
  } finally {
    await opened.close()
  }
}
