import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileService } from '../../../kernel/compile-service.ts'
import { compileView } from '../../../kernel/compile-view.ts'
import type { ServicePlan } from '../../../kernel/service-plan.ts'
import { formatTimestamp } from '../../../kernel/time.ts'
import type { Value } from '../../../kernel/value-type.ts'
import { createDataset } from '../../../offline/dataset.ts'
import { createDuckDbEngine } from '../../../offline/duckdb/duckdb-engine.ts'
import type { KernelProcesses } from '../../../offline/duckdb/kernel-task.ts'
import { runKernelTask } from '../../../offline/duckdb/kernel-task.ts'
import { sqlText } from '../../../runtime/sql.ts'
import { budget } from '../../budget.ts'
import { allColumns } from '../../kernel/view-oracle.ts'
import { during, openServer } from '../../opened-database.ts'
import type { World, WorldView } from '../../oracle/world.ts'
import { worldArbitrary } from '../../oracle/world.ts'
import { parquetOfQuery } from './parquet-of-query.ts'

// Generated views over generated rows, through PostgreSQL and through DuckDB: the files must have the same bytes.

/** Each view is a case. A world has from 12 to 16. */
const cases = budget(500)
const firstSeed = Number(process.env['LOCKSTEP_TEST_ORACLE_SEED'] ?? Date.now() % 2 ** 31)
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-generated-'))
})
afterAll(async () => {
  if (folder !== undefined) await rm(folder, { recursive: true })
})

const keyNames: Readonly<Record<WorldView['keys'], readonly string[]>> = { one: ['thing'], two: ['thing', 'part'], none: [] }
const keyTypes = { thing: { kind: 'string' }, part: { kind: 'int32' } } as const

function serviceOf({ views }: World, table: string): ServicePlan {
  const plans = views.map(({ spec, keys }) => {
    const names = keyNames[keys] as readonly (keyof typeof keyTypes)[]
    return compileView({
      spec: {
        ...spec,
        entity: { name: `by_${keys}`, key: names.map((name) => ({ name, type: keyTypes[name] })) },
        source: {
          ...spec.source,
          name: 'rows',
          relation: { kind: 'table', table },
          key: names.map((name) => ({ part: name, column: name })),
          columns: allColumns,
        },
      },
      code: null,
      fingerprint: spec.name,
    })
  })
  return compileService({
    spec: {
      name: 'all',
      version: 1,
      members: plans.map(({ id, spec, features }, i) => ({
        kind: 'view',
        use: { view: id, alias: spec.name, key: keyNames[views[i]?.keys ?? 'none'] },
        features: features.map(({ name }) => name),
      })),
    },
    fingerprint: table,
    views: new Map(plans.map((plan) => [plan.id, plan])),
    onDemand: new Map(),
  })
}

/** Does the tasks of several processes one after the other. */
const inThisProcess: KernelProcesses = {
  max: 1,
  run: (service, tasks, { onAnswers }) => Promise.all(tasks.map((task) => runKernelTask(service, task, onAnswers))),
}

const time = (micros: number | null): string => (micros === null ? 'NULL' : `timestamptz '${formatTimestamp(micros)}'`)
const literal = (value: Value | null): string =>
  value === null ? 'NULL' : sqlText(String(Object.is(value, -0) ? '-0' : (value as string)))

describe('generated views', () => {
  const opened = during(() => openServer())

  it(
    'have the same values through DuckDB as through PostgreSQL, to the byte of the file',
    async () => {
      const { db } = opened()
      let seen = 0
      for (let seed = firstSeed; seen < cases; seed++) {
        const [world] = fc.sample(worldArbitrary(String(seed)), { seed, numRuns: 1 })
        if (world === undefined) throw new Error('no world was made')
        const table = `things_${seed}`
        const rows = world.batches.flatMap((batch) => batch.rows)
        const values = rows.map(
          (row) =>
            `(${[literal(row.thing), literal(row.part), time(row.eventTime), time(row.knownTime), ...row.values.map(literal)].join(', ')})`,
        )
        await db.script(`create table ${table} (thing text, part int4, at timestamptz, known timestamptz, i int4, big int8, f float8, s text, ok bool,
          _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id());
          ${values.length === 0 ? '' : `insert into ${table} (thing, part, at, known, ${allColumns.map(({ name }) => `"${name}"`).join(', ')}) values ${values.join(', ')}`}`)
        const asked = world.questions.map(({ thing, part, moment }, o) => `(${o}, ${sqlText(thing)}, ${part}, ${time(moment)})`)
        const spineSql = `select thing, part, asked_at from (values ${asked.join(', ')}) v (o, thing, part, asked_at) order by o`
        const [source, spine] = [join(folder, `${seed}-rows.parquet`), join(folder, `${seed}-spine.parquet`)]
        await parquetOfQuery(db, `select thing, part, at, known, i, big, f, s, ok, _row from ${table}`, source)
        await parquetOfQuery(db, spineSql, spine)
        const service = serviceOf(world, table)
        const { asOf, knowledge, freshness } = world.rule
        const options = { time: 'asked_at', asOf, knowledge, freshness } as const
        const [a, b] = [join(folder, `${seed}-a.parquet`), join(folder, `${seed}-b.parquet`)]
        const expected = await createDataset(db, service, { ...options, spine: { file: spine }, out: a })
        // every other world by three shares of its keys
        const shares = seed % 2 === 0 ? {} : { processes: inThisProcess, workers: 3 }
        const engine = await createDuckDbEngine({ sources: new Map([['rows', [source]]]), threads: 1, ...shares })
        try {
          const { file, engine: pinned } = await createDataset(db, service, { ...options, spine: { file: spine }, out: b, engine })
          expect(file, `LOCKSTEP_TEST_ORACLE_SEED=${seed}`).toEqual({ ...expected.file, path: b })
          expect(pinned?.sources.map((each) => each.files.map(({ path }) => path))).toEqual([[source]])
        } finally {
          await engine.close()
        }
        seen += world.views.length
      }
    },
    // a whole run has 500 views
    120_000 + cases * 5_000,
  )
})
