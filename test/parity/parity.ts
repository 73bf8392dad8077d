import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { ServicePlan, ServiceValues } from '../../kernel/service-plan.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { CountsValue, Scalar } from '../../kernel/values/value-type.ts'
import type { Availability, FeatureSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { readHistory } from '../../offline/history.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { readFeatures } from '../../serving/features/read-features.ts'
import {
  allColumns,
  featuresArbitrary,
  hour,
  minute,
  origins,
  type RawRow,
  rowsArbitrary,
  timeArbitrary,
  viewSpec,
} from '../kernel/view-oracle.ts'
import { testDatabase, testRedis } from '../services/index.ts'

/** Three entities with rows, and one that is never seen. */
const things = ['a', 'é', 'B', 'none']

interface Case {
  readonly features: FeatureSpec[]
  readonly availability: Availability
  readonly rows: readonly { readonly thing: string | null; readonly row: RawRow }[]
  /** After how many rows (they are shuffled already) a run comes, and at which moment. */
  readonly runs: readonly { readonly rows: number; readonly moment: number }[]
  /** The moment of the last run, at which both sides are compared. */
  readonly t: number
}

function cases(availability: fc.Arbitrary<Availability>): fc.Arbitrary<Case> {
  const rowsOf = (origin: number) =>
    rowsArbitrary(origin, 14).chain((rows) =>
      fc.tuple(...rows.map((r) => fc.record({ thing: fc.constantFrom('a', 'a', 'é', 'B', null), row: fc.constant(r), at: fc.nat() }))),
    )
  return fc
    .constantFrom(...origins)
    .chain((origin) =>
      fc.record({
        features: featuresArbitrary,
        availability,
        rows: rowsOf(origin),
        cuts: fc.array(fc.nat(14), { maxLength: 2 }),
        t: timeArbitrary(origin, 18),
      }),
    )
    .map(({ features, availability: when, rows, cuts, t: last }) => ({
      features,
      availability: when,
      rows: [...rows].sort((a, b) => a.at - b.at),
      runs: [
        ...cuts.toSorted((a, b) => a - b).map((cut, i) => ({ rows: Math.min(cut, rows.length), moment: last - (2 - i) * 3 * hour })),
        { rows: rows.length, moment: last },
      ],
      t: last,
    }))
}

/**
 * Runs generated cases. Rows arrive in any order and in any split into runs of the materializer, into both online
 * stores. Then a training export for (entity, t) must equal the feature read with `asOf: t`, to the last bit and
 * status. Call it in a `describe`, which then holds the resources of the cases.
 */
export function agreement(availability: fc.Arbitrary<Availability>, numRuns: number): () => Promise<void> {
  let db: Database
  let drop: () => Promise<void>
  let folder: string
  let stores: OnlineStore[] = []
  let number = 0

  beforeAll(async () => {
    const database = await testDatabase()
    const redis = await testRedis()
    drop = database.drop
    db = openPostgres(database.url)
    folder = await mkdtemp(join(tmpdir(), 'lockstep-parity-'))
    stores = [createRedisStore({ redis: openRedis(redis.url), prefix: redis.prefix }), openEmbeddedStore(folder)]
    await db.script(`
      create table things (thing text, at timestamptz not null, known timestamptz, i int4, big int8, f float8, s text, ok bool,
        _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id());
      create table moments (thing text, t timestamptz)`)
  })

  afterAll(async () => {
    for (const store of stores) await store.close()
    await db?.close()
    await drop?.()
    await rm(folder, { recursive: true })
  })

  async function check({ features, availability: when, rows, runs, t }: Case): Promise<void> {
    const service = serviceOf(viewSpec(`case_${++number}`, features, when), number)
    const plan = (service.uses[0] as ServicePlan['uses'][number]).plan
    await db.script('truncate things; truncate moments')
    let from = 0
    for (const run of runs) {
      const arriving = rows.slice(from, Math.max(from, run.rows))
      if (arriving.length > 0)
        await db.query(`insert into things (thing, at, known, i, big, f, s, ok) values ${arriving.map(sqlRow).join(', ')}`)
      from = Math.max(from, run.rows)
      for (const store of stores) await materializeView(db, store, plan, { moment: run.moment })
    }

    const moments = [t, t + 7 * minute, t - 90 * minute, t + 13 * hour]
    const asked = moments.flatMap((moment) => things.map((thing) => ({ thing, moment })))
    await db.query(
      `insert into moments values ${asked.map(({ thing, moment }) => `('${thing}', '${formatTimestamp(moment)}')`).join(', ')}`,
    )
    const exported = await exportRows(db, service)
    for (const store of stores) {
      for (const moment of moments) {
        const entities = things.map((thing) => ({ keys: [encodeKey(plan.key, [thing])], request: [] }))
        const written = () => Promise.resolve(new Set<string>())
        const deps = {
          store,
          isOnline: () => true,
          written,
          history: (requests: Parameters<typeof readHistory>[1]) => readHistory(db, requests),
        }
        const read = await readFeatures(deps, service, entities, { asOf: moment, asked: true })
        for (const [i, thing] of things.entries()) {
          const served = readable(service, read.rows[i] as ServiceValues)
          expect({ store: store.kind, thing, moment, ...served }).toEqual({
            store: store.kind,
            thing,
            moment,
            ...exported.get(`${thing} ${moment}`),
          })
        }
      }
    }
  }

  return async () => {
    await fc.assert(fc.asyncProperty(cases(availability), check), { numRuns, endOnFailure: false })
    expect(number).toBeGreaterThanOrEqual(numRuns)
  }
}

function serviceOf(spec: ViewSpec, number: number): ServicePlan {
  const plan = compileView({ spec, code: null, fingerprint: `f${number}` })
  const use = { view: plan.id, alias: null, key: ['thing'] }
  const onDemand = {
    name: 'context',
    version: 1,
    request: [],
    inputs: [{ name: 'view', use }],
    features: [{ name: 'first', type: (spec.features[0] as FeatureSpec).type, default: null, required: false }],
    code: 'c',
  }
  const first = (spec.features[0] as FeatureSpec).name
  return compileService({
    spec: {
      name: 'parity',
      version: number,
      members: [
        { kind: 'view', use, features: spec.features.map((f) => f.name) },
        { kind: 'onDemand', view: 'context@1', features: ['first'] },
      ],
    },
    fingerprint: `s${number}`,
    views: new Map([[plan.id, plan]]),
    onDemand: new Map([['context@1', { spec: onDemand, code: `({ view }) => ({ first: view.${first} })` }]]),
  })
}

async function exportRows(db: Database, service: ServicePlan): Promise<Map<string, object>> {
  const spine = await openSpine(db, service, { sql: 'select thing, t from moments' })
  const found = new Map<string, object>()
  try {
    await joinSpine(db, service, spine, { statuses: true }, (batch) => {
      for (let i = 0; i < batch.length; i++) {
        const values = batch.values.map((column) => column[i] ?? null)
        const statuses = batch.statuses.map((column) => column[i]) as ServiceValues['statuses']
        const thing = batch.spine[spine.columns.findIndex((c) => c.name === 'thing')]?.[i]
        found.set(`${thing as Scalar} ${batch.times[i]}`, readable(service, { values, statuses, eventTimes: [] }))
      }
    })
  } finally {
    await spine.drop()
  }
  return found
}

/** A map by its entries, in order, because the order counts. */
function ordered(value: unknown): unknown {
  return value instanceof Map ? [...(value as CountsValue)] : value
}

/** Values that `toEqual` distinguishes to the bit (it knows NaN and -0), with their statuses by name. */
function readable(
  service: ServicePlan,
  row: Pick<ServiceValues, 'values' | 'statuses' | 'eventTimes'>,
): { values: unknown; statuses: unknown } {
  return {
    values: Object.fromEntries(service.features.map((f, i) => [f.name, ordered(row.values[i])])),
    statuses: row.statuses.map((status) => statusNames[status]),
  }
}

function sqlRow({ thing, row }: Case['rows'][number]): string {
  const cells = allColumns.map(({ type }, i) => {
    const value = row.values[i] ?? null
    if (Object.is(value, -0)) return "'-0'"
    return value === null ? 'null' : `'${valueToJson(type, value) as Scalar}'`
  })
  const known = row.knownTime === null ? 'null' : `'${formatTimestamp(row.knownTime)}'`
  return `(${[thing === null ? 'null' : `'${thing}'`, `'${formatTimestamp(row.eventTime)}'`, known, ...cells].join(', ')})`
}
