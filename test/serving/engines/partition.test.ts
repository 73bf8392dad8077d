import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { perceptron } from '../../../bench/serving/perceptron.ts'
import { inspectModel } from '../../../inference/inspect-model.ts'
import type { Value } from '../../../kernel/values/value-type.ts'
import { createDuckDbEngine } from '../../../offline/duckdb/duckdb-engine.ts'
import type { KernelProcesses } from '../../../offline/duckdb/kernel-task.ts'
import { openDuckDb } from '../../../offline/duckdb/open-duckdb.ts'
import { openTabularFile } from '../../../offline/files/tabular-file.ts'
import { joinSpine } from '../../../offline/join.ts'
import { openSpine } from '../../../offline/spine/open-spine.ts'
import type { PartitionOptions } from '../../../offline/partition/fold-partition.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadDefinitions } from '../../../registry/load/load-definitions.ts'
import { pushModel } from '../../../registry/models/models.ts'
import { createLogger } from '../../../runtime/log.ts'
import type { BatchRequest } from '../../../serving/batch/batch-spec.ts'
import { runEngineBatch } from '../../../serving/engines/engine-batch.ts'
import { openPlan } from '../../../serving/engines/engine-plan.ts'
import { exportPlan } from '../../../serving/engines/export-plan.ts'
import { createKernelProcesses } from '../../../serving/engines/kernel-processes.ts'
import { runFinish, runPass } from '../../../serving/engines/run-partition.ts'
import { bareEnvironment } from '../../bare-environment.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { programFile } from '../../cli/run-lockstep.ts'
import { parquetOfQuery } from '../../offline/duckdb/parquet-of-query.ts'
import { unlessStalled } from '../../unless-slow.ts'
import type { EngineRow, RunStep } from './arrow-engine.ts'
import { arrowOf, passRows, rowsOf, runEngine } from './arrow-engine.ts'

// An engine in this file sorts rows and asks `lockstep partition`. The point-in-time join of PostgreSQL must agree.

const minute = 60_000_000
const start = Date.UTC(2026, 0, 5) * 1000
const signal = new AbortController().signal
const asServed: PartitionOptions = { rule: { knowledge: 'bitemporal', freshness: 'served' }, bound: 'at', knownBefore: null }
const airports = ['ATL', 'É', 'a', null]

const landings = Array.from({ length: 400 }, (_, i): EngineRow => ({
  date: start + ((i * 7919) % 4000) * minute,
  landed_at: i % 9 === 0 ? null : start + ((i * 7919) % 4000) * minute + (i % 5) * 40 * minute,
  delay: i % 11 === 0 ? null : ((i * 31) % 90) / 7 - 4,
  distance: i,
  origin: ['x', 'y', null, 'zß'][i % 4] ?? null,
  destination: airports[i % 4] ?? null,
  gates: i % 6 === 0 ? null : Float32Array.of(i, -i / 3),
  codes: i % 5 === 0 ? null : 2n ** 60n + BigInt(i),
  _row: i + 1,
}))
const departures = Array.from({ length: 300 }, (_, i): EngineRow => ({
  date: start + ((i * 613) % 4000) * minute,
  carrier: ['AA', 'BB'][i % 2] ?? null,
  fleet: i % 3 === 0 ? null : (i % 3) - 2,
  seats: i % 13 === 0 ? null : i,
  _row: i + 1,
}))
const spine = Array.from({ length: 250 }, (_, i): EngineRow => ({
  at: start + ((i * 331) % 4300) * minute,
  airport: airports[i % 4] ?? null,
  origin: airports[(i + 1) % 3] ?? null,
  destination: airports[i % 3] ?? null,
  carrier: i % 10 === 0 ? null : (['AA', 'CC', 'BB'][i % 3] ?? null),
  fleet: (i % 3) - 2,
  booked: i,
}))
const sources = { landings, departures }

let opened: OpenedDatabase
let folder: string
const planOf = (name: string): string => join(folder, `${name}.lockstep`)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-partition-'))
  opened = await openServer()
  const { db } = opened
  await applyChanges(db, await loadDefinitions(join(import.meta.dirname, 'definitions.ts')))
  const bytes = perceptron(4, 8)
  await pushModel(db, { model: 'score', bytes, contract: await inspectModel(bytes) })
  const json = (rows: readonly EngineRow[]): string =>
    JSON.stringify(rows, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v instanceof Float32Array ? [...v] : v))
  const time = (name: string): string => `to_timestamp(0) + (r->>'${name}')::int8 * interval '1 microsecond'`
  await db.query(
    `insert into lockstep_source.landings (_row, date, landed_at, delay, distance, origin, destination, gates, codes) overriding system value
     select (r->>'_row')::int8, ${time('date')}, ${time('landed_at')}, (r->>'delay')::float8, (r->>'distance')::int4, r->>'origin', r->>'destination',
       case when r->>'gates' is not null then array(select jsonb_array_elements_text(r->'gates')::float4) end, (r->>'codes')::int8 from jsonb_array_elements($1::jsonb) r`,
    [json(landings)],
  )
  await db.query(
    `insert into lockstep_source.departures (_row, date, carrier, fleet, seats) overriding system value
     select (r->>'_row')::int8, ${time('date')}, r->>'carrier', (r->>'fleet')::int4, (r->>'seats')::int4 from jsonb_array_elements($1::jsonb) r`,
    [json(departures)],
  )
  await db.query(
    `create table asked as select (r->>'o')::int4 as o, ${time('at')} as at, r->>'airport' as airport, r->>'origin' as origin, r->>'destination' as destination, r->>'carrier' as carrier,
       (r->>'fleet')::int4 as fleet, (r->>'booked')::int4 as booked from jsonb_array_elements($1::jsonb) r`,
    [JSON.stringify(spine.map((row, o) => ({ ...row, o })))],
  )
  for (const [name, service, model] of [
    ['flight', 'flight', undefined],
    ['scored', 'scored', 'score@1'],
  ] as const)
    await writePlan(name, service, model)
})

afterAll(async () => {
  await opened?.close()
  await rm(folder, { recursive: true, force: true })
})

async function writePlan(name: string, service: string, model?: string, rule = asServed): Promise<void> {
  const { db } = opened
  await writeFile(planOf(name), (await exportPlan(db, await loadCatalog(db), { service, model, rule })).bytes)
}

async function joined(service: string, rule = asServed): Promise<(Value | null)[][]> {
  const { db } = opened
  const plan = (await loadCatalog(db)).service(service)
  const asked = await openSpine(db, plan, { sql: 'select * from asked order by o' }, { time: 'at' })
  const values = plan.features.map((): (Value | null)[] => [])
  await joinSpine(db, plan, asked, rule, (batch) => {
    for (const [f, column] of batch.values.entries()) values[f]?.push(...column)
  })
  await asked.drop()
  return values
}

async function within(name: string): Promise<{ readonly step: RunStep; readonly plan: Awaited<ReturnType<typeof openPlan>> }> {
  const plan = await openPlan(planOf(name))
  return {
    plan,
    async step(pass, input) {
      const pieces: Uint8Array[] = []
      const output = { write: (bytes: Uint8Array) => Promise.resolve(void pieces.push(bytes)) }
      async function* one(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(input)
      }
      if (pass === null) await runFinish(plan, one(), output, { signal, log: createLogger('silent') })
      else await runPass(plan, pass, one(), output, signal)
      return Buffer.concat(pieces)
    },
  }
}

function partition(...words: readonly string[]) {
  const child = spawn(process.execPath, [programFile('cli/main'), 'partition', ...words], { env: bareEnvironment, stdio: 'pipe' })
  child.stdin.on('error', () => undefined)
  const said = text(child.stderr)
  const exited = once(child, 'exit') as Promise<[number | null]>
  return { child, ended: async () => ({ code: (await exited)[0], err: await said }) }
}

describe('lockstep partition', () => {
  it('computes the features of several entities and on-demand views as PostgreSQL does, with every rule', async () => {
    const { plan, step } = await within('flight')
    expect(plan.layout.passes).toHaveLength(2)
    const names = plan.service.features.map(({ name }) => name)
    const request = plan.service.request.map(({ name }) => name)
    const rules: readonly PartitionOptions[] = [
      asServed,
      { rule: { knowledge: 'bitemporal', freshness: 'ideal' }, bound: 'before', knownBefore: start + 3000 * minute },
    ]
    for (const [i, rule] of rules.entries()) {
      await writePlan(`rule${i}`, 'flight', undefined, rule)
      const rows = await runEngine(plan.layout, request, sources, spine, 'at', i === 0 ? step : (await within('rule1')).step)
      const expected = await joined('flight', rule)
      for (const [f, name] of names.entries())
        expect(
          rows.map((row) => row[name]),
          name,
        ).toEqual(expected[f])
    }
  }, 360_000)

  it('predicts in a process of its own, without a database', async () => {
    const { plan, step: own } = await within('scored')
    const step: RunStep = async (pass, input) => {
      const { child, ended } = partition('--plan', planOf('scored'), ...(pass === null ? ['--finish'] : ['--pass', `${pass}`]))
      child.stdin.end(input)
      const pieces: Uint8Array[] = []
      for await (const piece of child.stdout) pieces.push(piece as Uint8Array)
      expect(await ended()).toEqual({ code: 0, err: '' })
      return Buffer.concat(pieces)
    }
    const request = plan.service.request.map(({ name }) => name)
    const rows = await runEngine(plan.layout, request, sources, spine, 'at', step)
    expect(rows).toEqual(await runEngine(plan.layout, request, sources, spine, 'at', own))
    const expected = await joined('scored')
    expect(plan.service.features.map(({ name }) => rows.map((row) => row[name]))).toEqual(expected)
    expect(rows.every((row) => row['_status'] === 'OK' && Number(row['score']) > 0 && Number(row['score']) < 1)).toBe(true)
  }, 360_000)

  it('refuses input that ends early, and leaves its output without the end mark', async () => {
    const { plan } = await within('flight')
    const [layout] = plan.layout.passes
    if (layout === undefined) throw new Error('no pass')
    const input = passRows(layout, sources, spine, 'at')
    const { child, ended } = partition('--plan', planOf('flight'))
    child.stdin.end(input.subarray(0, input.length - 20))
    const pieces: Uint8Array[] = []
    for await (const piece of child.stdout) pieces.push(piece as Uint8Array)
    const { code, err } = await ended()
    expect(code).toBe(1)
    expect(err).toMatch(/^error FILE_UNREADABLE: .*ends before its end mark/)
    await expect(rowsOf(Buffer.concat(pieces), layout.output)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
  }, 360_000)

  it('says so where nobody reads its output, and ends at a signal', async () => {
    const { plan } = await within('flight')
    const [layout] = plan.layout.passes
    if (layout === undefined) throw new Error('no pass')
    const input = passRows(layout, sources, spine, 'at')
    const unread = partition('--plan', planOf('flight'))
    unread.child.stdout.destroy()
    unread.child.stdin.end(input)
    expect(await unread.ended()).toMatchObject({ code: 1, err: expect.stringMatching(/^error WRITE_FAILED: .*reader/) as string })
    const stopped = partition('--plan', planOf('flight'))
    stopped.child.stdin.write(input.subarray(0, input.length - 20))
    await once(stopped.child.stdout, 'data')
    stopped.child.kill('SIGTERM')
    expect(await stopped.ended()).toMatchObject({ code: 143, err: expect.stringContaining('STOPPED') as string })
  }, 360_000)

  it('refuses rows that are out of order, of a pass that is not there, or without a number', async () => {
    const { plan, step } = await within('flight')
    const [layout] = plan.layout.passes
    if (layout === undefined) throw new Error('no pass')
    const backwards = await rowsOf(passRows(layout, sources, spine, 'at'), layout.input)
    await expect(step(0, arrowOf(layout.input, backwards.toReversed()))).rejects.toMatchObject({ code: 'ORDER_VIOLATED' })
    await expect(step(7, arrowOf(layout.input, []))).rejects.toMatchObject({ code: 'USAGE' })
    const unnumbered = backwards.filter(({ tag }) => tag === 1).map((row) => ({ ...row, o: null }))
    await expect(step(0, arrowOf(layout.input, unnumbered))).rejects.toMatchObject({ code: 'INVALID_ROW' })
    await expect(step(null, arrowOf(plan.layout.finish.input.slice(0, 3), [{ o: 1, t: 1, r0: 1 }]))).rejects.toMatchObject({
      code: 'INVALID_ROW',
    })
  })
  it('refuses tags other than 0 and 1, and a stream without a column that every row needs', async () => {
    const { plan, step } = await within('flight')
    const [layout] = plan.layout.passes
    if (layout === undefined) throw new Error('no pass')
    const rows = await rowsOf(passRows(layout, sources, spine, 'at'), layout.input)
    const tagged = (tag: number | null, at: number) => arrowOf(layout.input, rows.toSpliced(at, 1, { ...rows[at], tag }))
    for (const [tag, at] of [
      [-1, 0],
      [2, 150],
      [null, 3],
    ] as const)
      await expect(step(0, tagged(tag, at))).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringContaining(`Row ${at + 1} on standard input has the tag ${tag ?? 'NULL'}`) as string,
      })
    for (const lacking of ['k0', 't', 'tag', 'n', 'o', 'e']) {
      const columns = layout.input.filter(({ name }) => name !== lacking)
      await expect(step(0, arrowOf(columns, rows))).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringContaining(`lacks the column "${lacking}"`) as string,
      })
    }
  })
})

describe('a batch of files', () => {
  it('has the predictions of the plan, in parts, and is complete once', async () => {
    const { db } = opened
    const columns = {
      landings: '_row, date, landed_at, delay, distance, origin, destination, gates, codes',
      departures: '_row, date, carrier, fleet, seats',
    }
    for (const [name, of] of Object.entries(columns))
      await parquetOfQuery(db, `select ${of} from lockstep_source.${name}`, join(folder, `${name}.parquet`))
    const file = join(folder, 'asked.parquet')
    await parquetOfQuery(db, 'select at, airport, destination, carrier, fleet, booked from asked order by o', file)
    const out = join(folder, 'scores')
    const catalog = await loadCatalog(db)
    const run = async (changed: Partial<BatchRequest>, workers = 1, onProgress: () => void = () => undefined) => {
      const sources = new Map(Object.keys(columns).map((name) => [name, [join(folder, `${name}.parquet`)]]))
      const kernelProcesses = createKernelProcesses(db, catalog)
      const processes: KernelProcesses = {
        ...kernelProcesses,
        run(service, tasks, options) {
          // what a process leaves behind that is killed while it sorts lies in the folder of the run
          for (const { limits, out: answers } of tasks) expect(limits.folder).toBe(dirname(answers))
          return kernelProcesses.run(service, tasks, options)
        },
      }
      const engine = await createDuckDbEngine({ sources, threads: 1, workers, processes })
      const request = { ...batchOf(file, pathToFileURL(out).href), ...changed }
      try {
        return await runEngineBatch({ db, catalog, engine }, 'scores', request, { signal, log: createLogger('silent'), onProgress })
      } finally {
        await engine.close()
      }
    }
    const manifest = await run({})
    expect(manifest).toMatchObject({ rows: 250, refused: 0, version: 1, engine: { name: 'duckdb' } })
    expect((await readdir(out)).toSorted()).toEqual(['_SUCCESS', '_manifest.json', ...manifest.parts.map(({ name }) => name)])
    expect(manifest.parts.map(({ rows }) => rows)).toEqual([100, 100, 50])
    const seen: unknown[] = []
    for (const { name } of manifest.parts)
      for await (const {
        columns: [ordinals = [], scores = []],
      } of (await openTabularFile(join(out, name))).batches(['_ordinal', 'score']))
        seen.push(...Array.from(ordinals, (ordinal, i) => [Number(ordinal), scores[i]]))
    const { plan, step } = await within('scored')
    const rows = await runEngine(plan.layout, ['booked'], sources, spine, 'at', step)
    expect(seen).toEqual(rows.map(({ score }, o) => [o + 1, score]))
    // as while another process completes it
    await rm(join(out, '_SUCCESS'))
    await expect(run({})).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(await readdir(out)).toContain('_manifest.json')
    await expect(run({ out: 'postgres:scores' })).rejects.toMatchObject({ code: 'USAGE' })
    await expect(run({ onlineMicros: 1 })).rejects.toMatchObject({ code: 'USAGE' })

    // several processes compute the same bytes
    const other = { out: pathToFileURL(join(folder, 'other')).href }
    const bySeveral = await run(other, 2)
    expect(bySeveral.parts.map(({ sha256 }) => sha256)).toEqual(manifest.parts.map(({ sha256 }) => sha256))
    const temporary = await mkdtemp(join(folder, 'temporary-'))
    const duckDb = await openDuckDb({ threads: 1, folder: temporary })
    expect(await readdir(temporary)).toEqual([expect.stringMatching(/^lockstep-duckdb-/)])
    await duckDb.close()
    vi.stubEnv('TMPDIR', temporary)
    // it ends soon, which a process that is held up before the kill does not prevent
    await unlessStalled(200, async () => {
      const forked = nextKernel()
      const killed = run({ ...other, overwrite: true }, 2)
      killed.catch(() => undefined)
      expect((await Promise.race([forked, killed.then(() => null)]))?.kill('SIGKILL')).toBe(true)
      await expect(killed).rejects.toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('--workers') as string })
    })
    expect(kernels()).toEqual([])
    expect(await readdir(temporary)).toEqual([])
    vi.unstubAllEnvs()
    // their errors are those of this process
    await parquetOfQuery(
      db,
      `select ${columns.landings.replace('date,', 'null::timestamptz as date,')} from lockstep_source.landings`,
      join(folder, 'landings.parquet'),
    )
    await expect(run({ ...other, overwrite: true }, 2)).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining('"landings"') as string,
    })
  }, 360_000)
})

/** Resolves when this process has forked one to compute features. */
async function nextKernel(): Promise<ChildProcess> {
  const { promise, resolve } = Promise.withResolvers<ChildProcess>()
  const note = (message: unknown): void => {
    const { process: child } = message as { readonly process: ChildProcess }
    child.once('spawn', () => {
      if (child.spawnargs.some((word) => word.includes('kernel-child'))) resolve(child)
    })
  }
  subscribe('child_process', note)
  return await promise.finally(() => unsubscribe('child_process', note))
}

/** The processes that this one has forked to compute features. */
function kernels(): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' })
  return stdout.split('\n').flatMap((line) => (line.includes('kernel-child') ? [Number.parseInt(line, 10)] : []))
}

function batchOf(file: string, out: string): BatchRequest {
  return {
    model: 'score',
    version: null,
    spine: { file },
    time: 'at',
    asOf: 'at',
    knownBefore: null,
    columns: null,
    out,
    format: 'parquet',
    mode: 'replace',
    key: null,
    rowsPerPart: 100,
    onlineMicros: null,
    maxRefused: { rows: 0 },
    minRows: null,
    overwrite: false,
  }
}

describe('a plan file', () => {
  it('is refused if it is damaged, changed, cut off or of another version, and names itself', async () => {
    const bytes = await readFile(planOf('scored'))
    const [head = '', body = ''] = bytes.toString('latin1').split('\n')
    const path = planOf('changed')
    const refusal = async (changed: Uint8Array | string): Promise<unknown> => {
      await writeFile(path, changed)
      return await openPlan(path).catch((error: unknown) => error)
    }
    const changedCode = Buffer.from(bytes.toString('latin1').replace('lateShare', 'lateShore'), 'latin1')
    const other = `${head.replace(/"lockstep":"[^"]+"/, '"lockstep":"9.9.9"')}\n${body}\n`
    expect(await refusal(other)).toMatchObject({
      code: 'VERSION_MISMATCH',
      message: expect.stringMatching(/9\.9\.9.*changed\.lockstep|changed\.lockstep.*9\.9\.9/) as string,
    })
    expect(await refusal(changedCode)).toMatchObject({ code: 'FILE_UNREADABLE' })
    expect(await refusal(bytes.subarray(0, 3000))).toMatchObject({ code: 'FILE_UNREADABLE' })
    expect(await refusal(bytes.subarray(0, bytes.length - 1))).toMatchObject({ code: 'CODE_HASH_MISMATCH' })
    expect(await refusal('{"a":1}\n')).toMatchObject({ code: 'FILE_UNREADABLE' })
    await expect(openPlan(planOf('missing'))).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringMatching(/there is no such file/) as string,
    })
  })

  it('is refused for a model of another service', async () => {
    await expect(writePlan('wrong', 'flight', 'score')).rejects.toMatchObject({ code: 'MODEL_MISMATCH' })
  })
})
