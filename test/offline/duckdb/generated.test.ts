import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import type { Value } from '../../../kernel/values/value-type.ts'
import { createDataset } from '../../../offline/datasets/dataset.ts'
import { createDuckDbEngine } from '../../../offline/duckdb/duckdb-engine.ts'
import type { KernelProcesses } from '../../../offline/duckdb/kernel-task.ts'
import { runKernelTask } from '../../../offline/duckdb/kernel-task.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadDefinitions } from '../../../registry/load/load-definitions.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { sqlText } from '../../../runtime/postgres/sql.ts'
import { exportPlan } from '../../../serving/engines/export-plan.ts'
import { budget } from '../../budget.ts'
import { recordFolder, recordTraining } from '../../conformance/record-training.ts'
import { allColumns } from '../../kernel/view-oracle.ts'
import { during, openServer } from '../../opened-database.ts'
import { definitionsText, serviceText } from '../../oracle/definitions-text.ts'
import type { World } from '../../oracle/world.ts'
import { worldArbitrary } from '../../oracle/world.ts'
import { inParquet } from './in-parquet.ts'

// Generated views over generated rows, through PostgreSQL and through DuckDB: the files must have the same bytes. If
// training sets are recorded, test/peers/spark.ts makes them with Spark, too.

/** Each view is a case. A world has from 12 to 16. */
const cases = recordFolder === undefined ? budget(500) : Math.max(500, budget(500))
const firstSeed = Number(process.env['LOCKSTEP_TEST_ORACLE_SEED'] ?? Date.now() % 2 ** 31)
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-generated-'))
})
afterAll(async () => {
  if (folder !== undefined) await rm(folder, { recursive: true })
})

interface SeededWorld extends World {
  readonly seed: number
}

function generatedWorlds(): SeededWorld[] {
  const worlds: SeededWorld[] = []
  for (let [seed, seen] = [firstSeed, 0]; seen < cases; seed++) {
    const [world] = fc.sample(worldArbitrary(String(seed)), { seed, numRuns: 1 })
    if (world === undefined) throw new Error('no world was made')
    worlds.push({ ...world, seed })
    seen += world.views.length
  }
  return worlds
}

/** Does the tasks of several processes one after the other. */
const inThisProcess: KernelProcesses = {
  max: 1,
  run: (service, tasks, { onAnswers }) => Promise.all(tasks.map((task) => runKernelTask(service, task, onAnswers))),
}

const time = (micros: number | null): string => (micros === null ? 'NULL' : `timestamptz '${formatTimestamp(micros)}'`)
const literal = (value: Value | null): string =>
  value === null ? 'NULL' : sqlText(String(Object.is(value, -0) ? '-0' : (value as string)))

async function insertRows(db: Database, { seed, batches }: SeededWorld): Promise<void> {
  const rows = batches.flatMap((batch) => batch.rows)
  const values = rows.map(
    (row) =>
      `(${[literal(row.thing), literal(row.part), time(row.eventTime), time(row.knownTime), ...row.values.map(literal)].join(', ')})`,
  )
  const columns = ['thing', 'part', 'at', 'known', ...allColumns.map(({ name }) => `"${name}"`)].join(', ')
  if (values.length > 0) await db.script(`insert into lockstep_source.w${seed}_rows (${columns}) values ${values.join(', ')}`)
}

/** The questions of all worlds, which all their views are asked. */
function spineOf(worlds: readonly SeededWorld[]): string {
  const questions = worlds.flatMap((world) => world.questions)
  const asked = questions.map(({ thing, part, moment }, o) => `(${o}, ${sqlText(thing)}, ${part}, ${time(moment)})`)
  return `select thing, part, asked_at from (values ${asked.join(', ')}) v (o, thing, part, asked_at) order by o`
}

describe('generated views', () => {
  const opened = during(() => openServer())

  it(
    'have the same values through DuckDB as through PostgreSQL, to the byte of the file',
    async () => {
      const { db } = opened()
      const worlds = generatedWorlds()
      // one training set for each rule of time, of all worlds that drew it
      const sets = [...Map.groupBy(worlds, ({ rule }) => Object.values(rule).join('_'))]
      const modules: string[] = []
      for (const world of worlds) {
        await writeFile(join(folder, `${world.seed}.ts`), definitionsText(String(world.seed), world))
        modules.push(`export * from './${world.seed}.ts'`)
      }
      for (const [name, members] of sets) {
        const imports = members.map(({ seed, views }) => `import { ${views.map(({ spec }) => spec.name).join(', ')} } from './${seed}.ts'`)
        modules.push(
          ...imports,
          serviceText(
            name,
            members.flatMap(({ views }) => views),
          ),
        )
      }
      const definitions = join(folder, 'definitions.ts')
      await writeFile(
        definitions,
        `import { featureService } from ${JSON.stringify(join(import.meta.dirname, '../../../index.ts'))}\n${modules.join('\n')}`,
      )
      await applyChanges(db, await loadDefinitions(definitions))
      const catalog = await loadCatalog(db)
      for (const world of worlds) await insertRows(db, world)

      for (const [i, [name, members]] of sets.entries()) {
        const { asOf, knowledge, freshness } = (members[0] as World).rule
        const service = catalog.service(name)
        const files = await inParquet(db, name, { sql: spineOf(members) }, 'asked_at', (file) => join(folder, `${name}-${file}.parquet`))
        const options = { spine: { file: files.spine }, time: 'asked_at', asOf, knowledge, freshness } as const
        const [expected, found] = [join(folder, `${name}.parquet`), join(folder, `${name}-duckdb.parquet`)]
        const { file: made } = await createDataset(db, service, { ...options, out: expected })
        // every other set by three shares of its keys
        const shares = i % 2 === 0 ? {} : { processes: inThisProcess, workers: 3 }
        const sources = new Map(files.sources.map(({ source, path }) => [source, [path]]))
        const engine = await createDuckDbEngine({ sources, threads: 1, ...shares })
        try {
          const { file, engine: pinned } = await createDataset(db, service, { ...options, out: found, engine })
          expect(file, `LOCKSTEP_TEST_ORACLE_SEED=${firstSeed}`).toEqual({ ...made, path: found })
          expect(pinned?.sources.map((each) => each.files.map(({ path }) => path))).toEqual([...sources.values()])
        } finally {
          await engine.close()
        }
        const rule = { rule: { knowledge, freshness }, bound: asOf, knownBefore: null }
        await recordTraining({ name, time: 'asked_at', expected, ...files }, async (path) =>
          writeFile(path, (await exportPlan(db, catalog, { service: name, rule })).bytes),
        )
      }
    },
    // a whole run has 500 views
    120_000 + cases * 5_000,
  )
})
