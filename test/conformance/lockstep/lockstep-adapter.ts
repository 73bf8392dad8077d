import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import type { SpineInput } from '../../../offline/spine/spine.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { inParquet } from '../../offline/duckdb/in-parquet.ts'
import { commandsWith } from '../../cli/one-process.ts'
import type { Environment, Running } from '../../cli/run-lockstep.ts'
import { start, whenReady } from '../../cli/run-lockstep.ts'
import type { Adapter, Row, Served } from '../adapter.ts'
import { Refused } from '../adapter.ts'
import type { Json } from '../exact-json.ts'
import { exact, parseExact } from '../exact-json.ts'
import type { OnTrained } from '../record-training.ts'

/**
 * Lockstep through its command line and over HTTP. Commands run in one long-lived process, because starting a process
 * takes far longer than a command. The server is a separate process.
 *
 * @param env the addresses of PostgreSQL and Redis
 * @param folder for its output
 * @param onTrained is called with each training set of a spine
 */
export async function createLockstepAdapter(
  env: Environment,
  folder: string,
  onTrained: OnTrained = () => Promise.resolve(),
): Promise<Adapter> {
  const command = commandsWith(env)
  const db = openPostgres(env['LOCKSTEP_POSTGRES_URL'] ?? '')
  let server: { readonly url: string; readonly process: Running } | null = null
  let defined = 0
  /** The token of the last push, which all reads must include. */
  let pushed: string | null = null
  /** Of all cases. */
  let first: readonly string[] | null = null

  async function lockstep(...words: readonly string[]): Promise<string> {
    const { exitCode, out, err } = await command(...words, '--json')
    if (exitCode === 0) return out
    const { error } = JSON.parse(err) as { readonly error: { readonly code: string; readonly message: string } }
    if (error.code === 'INTERNAL') throw new Error(`lockstep ${words.join(' ')}: ${error.message}`)
    throw new Refused(error.message)
  }

  async function urlOfServer(): Promise<string> {
    if (server !== null) return server.url
    const running = start(env, 'serve', '--port', '0', '--json')
    const [, url = ''] = await running.until(/"url": "(http:[^"]+)"/)
    server = { url, process: running }
    await whenReady(url)
    return url
  }

  /** A running server notices changes within seconds; a new one has them at once. */
  async function stopServer(): Promise<void> {
    const running = server
    server = null
    running?.process.child.kill('SIGTERM')
    await running?.process.ended
  }

  async function apply(files: readonly string[], ...options: readonly string[]): Promise<void> {
    const index = join(folder, `definitions-${defined++}.ts`)
    await writeFile(index, (await Promise.all(files.map(exportsOf))).join('\n'))
    await lockstep('apply', index, ...options)
    await stopServer()
  }

  /** Makes a training set a second time, of Parquet files of the same rows. It must have the same bytes. */
  async function trainByDuckDb(service: string, spine: SpineInput, time: string, name: string, rule: readonly string[]): Promise<void> {
    const input = await inParquet(db, service, spine, time, (file) => join(folder, `${name}-${file}.parquet`))
    const sources = input.sources.flatMap(({ source, path }) => ['--source', `${source}=${path}`])
    const out = join(folder, `${name}-duckdb.parquet`)
    await lockstep(
      'dataset',
      'create',
      service,
      '--engine',
      'duckdb',
      ...sources,
      '--spine',
      input.spine,
      '--time',
      time,
      '--out',
      out,
      ...rule,
    )
    const [expected, found] = [await readFile(pathOf(name)), await readFile(out)]
    const writePlan = (path: string) => lockstep('export-plan', service, '--out', path, '--overwrite', ...rule)
    if (expected.equals(found)) return await onTrained({ name, time, expected: pathOf(name), ...input }, writePlan)
    const [wanted, seen] = [await readRows(pathOf(name)), await readRows(out)]
    throw new Error(`DuckDB gives other rows than PostgreSQL. ${JSON.stringify(seen)} is not ${JSON.stringify(wanted)}.`)
  }

  const pathOf = (name: string): string => join(folder, `${name}.parquet`)

  await lockstep('migrate')
  return {
    name: 'Lockstep',
    definitions: 'definitions.ts',
    async define(files) {
      first ??= files
      await apply(files)
    },
    async retire(file) {
      await apply(
        (first ?? []).filter((each) => each !== file),
        '--prune',
      )
    },
    async ingest(source, file) {
      await lockstep('ingest', source, file)
    },
    async push(source, rows, id) {
      const events = rows.map((row) => {
        if (id === null) return row
        const { [id]: event, ...columns } = row
        return { ...columns, _event_id: event }
      })
      const response = await fetch(`${await urlOfServer()}/v1/sources/${source}/events`, { method: 'POST', body: exactBody({ events }) })
      const answer = (await response.json()) as { readonly token: string; readonly error?: { readonly message: string } }
      if (response.status >= 500) throw new Error(`The server answered ${response.status}: ${answer.error?.message}`)
      if (answer.error !== undefined) throw new Refused(answer.error.message)
      pushed = answer.token
    },
    async materialize(views, at) {
      await lockstep('materialize', ...views, '--to', at)
    },
    async train({ service, spine, time, asOf, knowledge, freshness, knownBefore, name }) {
      const from =
        'rowsOf' in spine
          ? ['--rows-of', spine.rowsOf, '--from', spine.from, '--to', spine.to]
          : ['--spine', 'file' in spine ? spine.file : withTables(spine.query), '--time', time]
      const cut = knownBefore === null ? [] : ['--known-before', knownBefore]
      const rule = ['--as-of', asOf, '--knowledge', knowledge, '--freshness', freshness, ...cut]
      await lockstep('dataset', 'create', service, ...from, '--out', pathOf(name), ...rule)
      if (!('rowsOf' in spine)) await trainByDuckDb(service, 'file' in spine ? spine : { sql: withTables(spine.query) }, time, name, rule)
      return await readRows(pathOf(name))
    },
    read: (name) => readRows(pathOf(name)),
    async serve(service, entities, at) {
      const body = { service, entities, asOf: at, include: ['eventTimes'], after: pushed === null ? [] : [pushed] }
      const response = await fetch(`${await urlOfServer()}/v1/features`, { method: 'POST', body: exactBody(body) })
      const answer = parseExact(await response.text()) as unknown as Answer
      if (response.status >= 500 && answer.error?.code !== 'NOT_READY')
        throw new Error(`The server answered ${response.status}: ${answer.error?.message}`)
      if (answer.error !== undefined) throw new Refused(answer.error.message)
      return answer.results
    },
    async close() {
      await stopServer()
      await db.close()
    },
  }
}

interface Answer {
  readonly results: readonly Served[]
  readonly error?: { readonly code: string; readonly message: string }
}

function withTables(query: string): string {
  return query.replaceAll(/\{\{(\w+)\}\}/g, 'lockstep_source.$1')
}

/** A module that exports everything from a definitions file, under unique names. */
async function exportsOf(file: string, index: number): Promise<string> {
  const names = [...(await readFile(file, 'utf8')).matchAll(/^export const (\w+)/gm)].map(([, name = '']) => name)
  return `export { ${names.map((name) => `${name} as ${name}_${index}`).join(', ')} } from ${JSON.stringify(file)}`
}

/** JSON with bigints as integer literals. */
function exactBody(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(exactBody).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([name, member]) => `${JSON.stringify(name)}:${exactBody(member)}`)
    .join(',')}}`
}

/** Reads a training set with a Parquet reader other than Lockstep's own. */
async function readRows(path: string): Promise<Row[]> {
  const file = await asyncBufferFromFile(path)
  const parsers = { timestampFromMicroseconds: (micros: bigint) => formatTimestamp(Number(micros)) }
  const rows = await parquetReadObjects({ file, compressors, parsers })
  return rows.map((row) => jsonOf(row) as Row)
}

function jsonOf(value: unknown): Json {
  if (value === null || value === undefined) return null
  if (typeof value === 'bigint') return exact(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return Array.from(value as ArrayLike<unknown>, jsonOf)
  if (typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, jsonOf(member)]))
  throw new Error(`A training set holds ${typeof value}, which no case can name.`)
}
