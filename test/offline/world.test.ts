import { beforeAll, describe, expect, it } from 'vitest'
import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { readHistory } from '../../offline/history.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { viewSpec } from '../kernel/view-oracle.ts'
import { during, openServer } from '../opened-database.ts'

const spec = viewSpec(
  'world',
  [
    {
      kind: 'window',
      name: 'n',
      type: { kind: 'int32' },
      aggregate: 'count',
      column: null,
      windowMicros: 3_600_000_000,
      hopMicros: 300_000_000,
      default: null,
      required: false,
    },
  ],
  { kind: 'continuous' },
)
const plan = compileView({
  spec: { ...spec, entity: { name: 'world', key: [] }, source: { ...spec.source, key: [] } },
  code: null,
  fingerprint: 'w',
})
const use = { view: plan.id, alias: null, key: [] }
const service = compileService({
  spec: { name: 'svc', version: 1, members: [{ kind: 'view', use, features: ['n'] }] },
  fingerprint: 's',
  views: new Map([[plan.id, plan]]),
  onDemand: new Map(),
})

describe('a view of an entity without a key', () => {
  const opened = during(() => openServer())
  let db: Database
  beforeAll(async () => {
    db = opened().db
    await db.script(`
      create table things (thing text, at timestamptz not null, known timestamptz, i int4, big int8, f float8, s text,
        _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id());
      insert into things (thing, at) values ('a', '2001-03-01 10:00Z'), ('b', '2001-03-01 10:30Z'), (null, '2001-03-01 12:00Z')`)
  })

  it('counts all rows of the test world, in training', async () => {
    const spine = await openSpine(db, service, {
      sql: `select t from (values (timestamptz '2001-03-01 10:45Z'), ('2001-03-01 09:00Z'), ('2001-03-01 12:00Z')) v (t)`,
    })
    const found: unknown[] = []
    await joinSpine(db, service, spine, {}, (batch) => void found.push(...(batch.values[0] ?? [])))
    await spine.drop()
    expect(found).toEqual([0, 2, 1])
  })

  it('counts the same rows for a server that reads from history', async () => {
    const asOf = parseTimestamp('2001-03-01T10:45:00Z')
    const [one, early] = await readHistory(db, [
      { plan, key: '', asOf },
      { plan, key: '', asOf: asOf - 3_600_000_000 },
    ])
    expect([one?.values, early?.values]).toEqual([[2], [0]])
  })
})
