import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { servedTime } from '../../kernel/view-plan.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import type { FileEngine } from '../join-engine.ts'
import { assembleInOrder } from '../join.ts'
import { partitionLayout } from '../partition/partition-layout.ts'
import type { ResultFile, ResultReader } from '../result-buckets.ts'
import { createResultBuckets, openResultFiles } from '../result-buckets.ts'
import { listFiles } from '../source-files/list-files.ts'
import { declaredColumns } from '../source-files/stored-files.ts'
import { dropColumns } from '../rows/source-stream.ts'
import type { Spine } from '../spine/spine.ts'
import type { AnswerOptions } from './answer-passes.ts'
import { answerPasses, usesByMapping, plansByMapping } from './answer-passes.ts'
import type { DuckDbTypes } from './duckdb-columns.ts'
import { describeFiles, parquetSql } from './duckdb-columns.ts'
import { duckDbSpineRows, openDuckDbSpine } from './duckdb-spine.ts'
import type { KernelProcesses, KernelTask } from './kernel-task.ts'
import type { DuckDb, DuckDbLimits } from './open-duckdb.ts'
import { openDuckDb, memoryShare } from './open-duckdb.ts'
import type { PassSources, PassTable } from './pass-sql.ts'
import { droppedSql, onlineOnlyColumn, rowColumn } from './pass-sql.ts'
import type { OpenedFile, SourceFiles } from './source-files.ts'
import { findFiles, openFile, pinFiles, requireSameTimes } from './source-files.ts'
import { createStagedObjects } from './stage-objects.ts'

export interface DuckDbEngineOptions extends DuckDbLimits {
  /** By name of the source: its Parquet files, as paths or patterns. */
  readonly sources: ReadonlyMap<string, readonly string[]>
  /** By name of the source: the files that it declares, which are read if `sources` does not name it. */
  readonly declared?: ReadonlyMap<string, Pick<FilesSpec, 'patterns' | 'fromMicros'>>
  /** Absent: this process answers all questions. */
  readonly processes?: KernelProcesses
  /** How many processes share the keys. Absent: what is worth their start. */
  readonly workers?: number | undefined
}

const rowsPerProcess = 1_000_000

/**
 * DuckDB sorts the rows of Parquet files, in memory and on disk. The states of the point-in-time join fold them.
 *
 * @throws LockstepError `UNSUPPORTED` where DuckDB is not installed
 */
export async function createDuckDbEngine({ sources, declared, processes, workers, ...limits }: DuckDbEngineOptions): Promise<FileEngine> {
  const db = await openDuckDb(limits)
  const objects = createStagedObjects()
  const tables = new Map<string, PassTable & { readonly files: readonly OpenedFile[] }>()

  async function tableOf(source: SourceSpec, signal: AbortSignal | undefined): Promise<PassTable> {
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
      throw new LockstepError('USAGE', `The service "${service.id}" does not read a source "${name}"; it reads ${quotedNames(names)}.`, {
        details: { source: name },
      })
    }
    const found = new Map<string, PassTable>()
    for (const [name, source] of read) found.set(name, await tableOf(source, signal))
    return found
  }

  async function answersOf(
    service: ServicePlan,
    spine: Spine,
    tables: PassSources,
    answering: Omit<AnswerOptions, 'share'>,
  ): Promise<ResultReader> {
    const count = processes === undefined ? 1 : (workers ?? Math.min(processes.max, await worthwhile(db, spine, tables)))
    if (processes === undefined || count === 1) {
      const buckets = await createResultBuckets(plansByMapping(service))
      try {
        await answerPasses(db, service, spine, tables, buckets, { ...answering, share: null })
        return buckets
      } catch (error) {
        await buckets.close()
        throw error
      }
    }
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-kernels-'))
    try {
      const how = { processes, count, limits: { threads: 1, memory: memoryShare(limits.memory, count + 1), folder }, folder }
      // an open file can be read when its name is gone
      return await openResultFiles(plansByMapping(service), await answerInProcesses(db, service, spine, tables, how, answering))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  return {
    name: 'duckdb',
    async openSpine(service, input, { time, carried, sample, signal }) {
      if (!('file' in input) || !input.file.endsWith('.parquet'))
        throw new LockstepError(
          'USAGE',
          'The engine "duckdb" takes a spine of Parquet: --spine FILE.parquet. Write the rows of a query to such a file first.',
        )
      if (sample !== null && sample !== undefined)
        throw new LockstepError('USAGE', 'The engine "duckdb" takes no sample of a spine. Remove "--sample", or sample the file.')
      await tablesOf(service, signal)
      const { path, local } = await openFile(absoluteName(input.file), null, objects, signal)
      return await openDuckDbSpine(db, service, { path, local }, { time: time ?? undefined, carried: carried ?? null })
    },
    async join(service, spine, options, consume) {
      const found = await tablesOf(service, options.signal)
      const places = usesByMapping(service)
      const answering = {
        rule: options.rule ?? servedTime,
        bound: options.bound ?? 'at',
        knownBefore: options.knownBefore ?? null,
        signal: options.signal,
        onAnswers: (done: number) => options.onProgress?.({ step: 'join', done, total: spine.rows * places.length }),
      }
      const results = await answersOf(service, spine, found, answering)
      try {
        const rows = await assembleInOrder({ inOrder: duckDbSpineRows(db, spine), service, spine, places, results }, options, consume)
        if (rows !== spine.rows)
          throw new LockstepError('INTERNAL', `The spine has ${spine.rows} rows, but the join returned ${rows}. Report this as a bug.`)
        return { rows, xmin: 0, droppedRows: await countDropped(db, service, found), heldBackRows: {}, files: [] }
      } finally {
        await results.close()
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

/** How many processes are worth their start: one for each million rows of the sources and the spine. */
async function worthwhile(db: DuckDb, spine: Spine, sources: PassSources): Promise<number> {
  let rows = spine.rows
  for (const { paths } of sources.values()) {
    const [[count] = []] = await db.rows(`SELECT CAST(count(*) AS DOUBLE) FROM ${parquetSql(paths)}`)
    rows += Number(count)
  }
  return Math.ceil(rows / rowsPerProcess)
}

/** Answers the questions in several processes, each those of a share of the keys. */
async function answerInProcesses(
  db: DuckDb,
  service: ServicePlan,
  spine: Spine,
  sources: PassSources,
  {
    processes,
    count,
    limits,
    folder,
  }: { processes: KernelProcesses; count: number; limits: DuckDbLimits & { memory: string }; folder: string },
  { signal, onAnswers, ...fold }: Omit<AnswerOptions, 'share'>,
): Promise<ResultFile[]> {
  const keys = new Set(partitionLayout(service, []).passes.flatMap(({ pass }) => pass.mappings.flatMap(({ columns }) => columns)))
  const columns = spine.columns.filter(({ name }) => name === spine.time || keys.has(name))
  const questions = join(folder, 'questions.parquet')
  const selected = ['"o"', ...columns.map(({ sql }) => sql)].join(', ')
  await db.rows(`COPY (SELECT ${selected} FROM ${spine.table} s) TO ${sqlText(questions)} (FORMAT parquet)`)
  const all = [...sources].map(([name, { paths, types, fromMicros }]) => [name, { paths, fromMicros, types: [...types] }] as const)
  const tasks = Array.from({ length: count }, (_, number): KernelTask => ({
    share: { number, of: count },
    questions,
    spine: { columns, time: spine.time },
    sources: all,
    fold,
    limits,
    out: join(folder, `answers-${number}`),
  }))
  // this process keeps a share, too; what it cannot free now it frees when it can
  await db.rows(`SET memory_limit = ${sqlText(limits.memory)}`).catch(() => undefined)
  const answered = await processes.run(service, tasks, { signal, onAnswers })
  return tasks.map(({ out }, i) => ({ path: out, chunks: answered[i] ?? [] }))
}

/** As the join of PostgreSQL counts them: a row once, however many keys it lacks. */
async function countDropped(db: DuckDb, service: ServicePlan, sources: PassSources): Promise<Record<string, number>> {
  const plans = service.uses.map(({ plan }) => plan)
  const keysOf = dropColumns(plans)
  const dropped: Record<string, number> = {}
  for (const plan of plans) {
    const { name } = plan.spec.source
    const [[count] = []] = await db.rows(droppedSql(plan.spec.source, sources.get(name) as PassTable, keysOf(plan)))
    dropped[name] = (dropped[name] ?? 0) + Number(count)
  }
  return dropped
}
