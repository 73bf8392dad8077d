import { LockstepError } from '../../kernel/errors.ts'
import type { FilesSpec } from '../../kernel/files-spec.ts'
import type { ServicePlan, ViewUse } from '../../kernel/service-plan.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import type { Column, Value, ValueType } from '../../kernel/value-type.ts'
import { servedTime } from '../../kernel/view-plan.ts'
import type { SourceSpec } from '../../kernel/view-spec.ts'
import type { FileEngine } from '../join-engine.ts'
import type { JoinOptions } from '../join.ts'
import { zip } from '../join.ts'
import { foldPartition } from '../partition/fold-partition.ts'
import { partitionLayout } from '../partition/partition-layout.ts'
import type { ResultBuckets } from '../result-buckets.ts'
import { createResultBuckets } from '../result-buckets.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import { listFiles } from '../source-files/list-files.ts'
import { declaredColumns } from '../source-files/stored-files.ts'
import { dropColumns } from '../source-stream.ts'
import type { Spine } from '../spine/spine.ts'
import type { DuckDbTypes } from './duckdb-columns.ts'
import { describeFiles, readColumn } from './duckdb-columns.ts'
import { duckDbSpineRows, openDuckDbSpine } from './duckdb-spine.ts'
import type { DuckDb, DuckDbLimits } from './open-duckdb.ts'
import { openDuckDb } from './open-duckdb.ts'
import type { PassSources, SourceTable } from './pass-sql.ts'
import { droppedSql, onlineOnlyColumn, passSql, rowColumn } from './pass-sql.ts'
import type { OpenedFile, SourceFiles } from './source-files.ts'
import { findFiles, openFile, pinFiles, requireSameTimes } from './source-files.ts'
import { createStagedObjects } from './stage-objects.ts'

export interface DuckDbEngineOptions extends DuckDbLimits {
  /** By name of the source: its Parquet files, as paths or patterns. */
  readonly sources: ReadonlyMap<string, readonly string[]>
  /** By name of the source: the files that it declares, which are read if `sources` does not name it. */
  readonly declared?: ReadonlyMap<string, Pick<FilesSpec, 'patterns' | 'fromMicros'>>
}

/**
 * DuckDB sorts the rows of Parquet files, in memory and on disk. The states of the point-in-time join fold them.
 *
 * @throws LockstepError `UNSUPPORTED` where DuckDB is not installed
 */
export async function createDuckDbEngine({ sources, declared, ...limits }: DuckDbEngineOptions): Promise<FileEngine> {
  const db = await openDuckDb(limits)
  const objects = createStagedObjects()
  const tables = new Map<string, SourceTable & { readonly files: readonly OpenedFile[] }>()

  async function tableOf(source: SourceSpec, signal: AbortSignal | undefined): Promise<SourceTable> {
    const { name } = source
    const known = tables.get(name)
    if (known !== undefined) return known
    const named = sources.get(name)
    const declaredFiles = named === undefined ? declared?.get(name) : undefined
    const found = named === undefined ? await declaredPaths(name, declaredFiles) : []
    for (const pattern of named ?? []) found.push(...(await findFiles(name, pattern)))
    const columns = [...declaredColumns(source), rowColumn, onlineOnlyColumn]
    const files = await Promise.all(found.map((path) => openFile(path, columns, objects, signal)))
    const paths = files.map(({ local }) => local)
    const table = { files, paths, types: await describeFiles(db, paths), fromMicros: declaredFiles?.fromMicros ?? null }
    if (declaredFiles !== undefined) refuseFolderColumns(source, found, table.types)
    tables.set(name, table)
    return table
  }

  async function tablesOf(service: ServicePlan, signal: AbortSignal | undefined): Promise<PassSources> {
    const read = new Map(service.uses.map(({ plan: { spec } }) => [spec.source.name, spec.source]))
    const names = [...read.keys()]
    for (const name of sources.keys()) {
      if (read.has(name)) continue
      throw new LockstepError(
        'USAGE',
        `The service "${service.id}" does not read a source "${name}"; it reads ${names.map((each) => `"${each}"`).join(', ')}.`,
        { details: { source: name } },
      )
    }
    const found = new Map<string, SourceTable>()
    for (const [name, source] of read) found.set(name, await tableOf(source, signal))
    return found
  }

  return {
    name: 'duckdb',
    async openSpine(service, input, { time, sample, signal }) {
      if (!('file' in input) || !input.file.endsWith('.parquet'))
        throw new LockstepError(
          'USAGE',
          'The engine "duckdb" takes a spine of Parquet: --spine FILE.parquet. Write the rows of a query to such a file first.',
        )
      if (sample !== null && sample !== undefined)
        throw new LockstepError('USAGE', 'The engine "duckdb" takes no sample of a spine. Remove "--sample", or sample the file.')
      await tablesOf(service, signal)
      const { path, local } = await openFile(absoluteName(input.file), null, objects, signal)
      return await openDuckDbSpine(db, service, { path, local }, time ?? undefined)
    },
    async join(service, spine, options, consume) {
      const found = await tablesOf(service, options.signal)
      const { passes } = partitionLayout(service, [])
      const places = passes.flatMap(({ pass }) => pass.mappings.map(({ asked }) => asked.map(({ use }) => use)))
      const buckets = await createResultBuckets(places.map((uses) => uses.map((use) => (service.uses[use] as ViewUse).plan)))
      try {
        await answerAll(db, service, spine, found, buckets, options)
        const rows = await zip(duckDbSpineRows(db, spine), service, spine, places, buckets, options, consume)
        if (rows !== spine.rows) throw new LockstepError('INTERNAL', `The spine has ${spine.rows} rows, but ${rows} came back.`)
        return { rows, xmin: 0, droppedRows: await countDropped(db, service, found), heldBackRows: {}, files: [] }
      } finally {
        await buckets.close()
      }
    },
    settledNow: () => Promise.resolve(0),
    async pinned(signal) {
      const pins: SourceFiles[] = []
      for (const [source, { files, fromMicros }] of tables) {
        const pinned = await pinFiles(source, files, signal)
        pins.push(fromMicros === null ? pinned : { ...pinned, from: formatTimestamp(fromMicros) })
        await requireSameTimes(source, files)
      }
      return pins
    },
    async close() {
      await db.close()
      await objects.close()
    },
  }
}

async function declaredPaths(source: string, files: Pick<FilesSpec, 'patterns'> | undefined): Promise<string[]> {
  if (files !== undefined) return (await listFiles(source, files.patterns)).map(({ path }) => path)
  throw new LockstepError('SOURCE_MISSING', `The source "${source}" has no files. Name them: --source ${source}=FILES.parquet.`, {
    details: { source },
  })
}

/** A sync takes columns from folders such as `day=2026-03-01`, and this engine does not. */
function refuseFolderColumns(source: SourceSpec, paths: readonly string[], types: DuckDbTypes): void {
  const column = declaredColumns(source).find((name) => !types.has(name) && paths.some((path) => path.includes(`/${name}=`)))
  if (column === undefined) return
  throw new LockstepError(
    'UNSUPPORTED',
    `The column "${column}" of the source "${source.name}" is in the folders of its files, which the engine "duckdb" does not read. Leave out "--engine duckdb", or write the column into the files.`,
    { details: { source: source.name, column } },
  )
}

async function answerAll(
  db: DuckDb,
  service: ServicePlan,
  spine: Spine,
  sources: PassSources,
  buckets: ResultBuckets,
  options: JoinOptions,
): Promise<void> {
  const fold = { rule: options.rule ?? servedTime, bound: options.bound ?? 'at', knownBefore: options.knownBefore ?? null }
  const { passes } = partitionLayout(service, [])
  const total = spine.rows * passes.reduce((sum, { pass }) => sum + pass.mappings.length, 0)
  let [place, done, full] = [0, 0, false]
  for (const layout of passes) {
    const first = place
    const take = foldPartition(layout, fold, (ordinal, mapping, values) => {
      if (buckets.put(ordinal, first + mapping, values)) full = true
      done++
    })
    const { sql, columns } = passSql(layout, spine, sources, fold.rule)
    for await (const chunk of db.stream(sql)) {
      options.signal?.throwIfAborted()
      const rows = new Array<(Value | null)[] | null>(layout.input.length).fill(null)
      for (const [c, at] of columns.entries()) {
        const { name, type } = layout.input[at] as Column<ValueType>
        rows[at] = readColumn(chunk, c, type, name)
      }
      take(rows, chunk.rowCount)
      if (full) await buckets.flush()
      full = false
      options.onProgress?.({ step: 'join', done, total })
    }
    place += layout.pass.mappings.length
  }
  await buckets.flush()
}

/** As the join of PostgreSQL counts them: a row once, however many keys it lacks. */
async function countDropped(db: DuckDb, service: ServicePlan, sources: PassSources): Promise<Record<string, number>> {
  const plans = service.uses.map(({ plan }) => plan)
  const keysOf = dropColumns(plans)
  const dropped: Record<string, number> = {}
  for (const plan of plans) {
    const { name } = plan.spec.source
    const [[count] = []] = await db.rows(droppedSql(plan.spec.source, sources.get(name) as SourceTable, keysOf(plan)))
    dropped[name] = (dropped[name] ?? 0) + Number(count)
  }
  return dropped
}
