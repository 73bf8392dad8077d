import { describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { StreamRequest } from '../../offline/rows/stream-sql.ts'
import { compileView } from '../../kernel/compile-view.ts'
import { dropColumns } from '../../offline/rows/source-stream.ts'
import { viewSpec } from '../kernel/view-oracle.ts'
import { lastThing } from './thing-features.ts'
import { leftOutSelect, streamSelect } from '../../offline/rows/stream-sql.ts'

const key = [{ name: 'origin', type: { kind: 'string' } }] as const
const plain: StreamRequest = {
  table: {
    relation: '"flights"',
    types: new Map([
      ['origin', 'text'],
      ['date', 'timestamp'],
      ['landed', 'timestamptz'],
      ['delay', 'int8'],
    ]),
    hasRow: true,
    hasXid: true,
    hasOnlineOnly: false,
  },
  key,
  eventTime: 'date',
  known: 'landed',
  columns: [{ name: 'delay', type: { kind: 'int32' } }],
  row: true,
  xid: false,
  order: 'known',
  bounds: {},
}
const june = parseTimestamp('2001-06-01T00:00:00Z')

describe('the SELECT of an ordered stream', () => {
  it('sorts by key bytes, then by the later time, and casts each column', () => {
    expect(streamSelect(plain)).toBe(
      'SELECT s."origin"::text COLLATE "C", s."date"::timestamp, s."landed"::timestamptz, s."_row", s."delay"::int4 FROM "flights" s ' +
        'WHERE s."origin" IS NOT NULL ORDER BY s."origin"::text COLLATE "C", greatest(s."date", s."landed")',
    )
  })

  it('sorts by event time if the known time is absent or ignored', () => {
    expect(streamSelect({ ...plain, known: null })).toContain('ORDER BY s."origin"::text COLLATE "C", s."date"')
    expect(streamSelect({ ...plain, order: 'event' })).toContain('ORDER BY s."origin"::text COLLATE "C", s."date"')
  })

  it('omits rows outside the time range or the run, without converting a time', () => {
    expect(streamSelect({ ...plain, xid: true, bounds: { until: june, eventFrom: june, arrival: { from: 5, to: 9 } } })).toBe(
      'SELECT s."origin"::text COLLATE "C", s."date"::timestamp, s."landed"::timestamptz, s."_row", s."_xid", s."delay"::int4 FROM "flights" s WHERE s."origin" IS NOT NULL ' +
        `AND greatest(s."date", s."landed") <= timestamp '2001-06-01T00:00:00Z' AND s."date" >= timestamp '2001-06-01T00:00:00Z' ` +
        `AND s."_xid" >= '5'::xid8 AND s."_xid" < '9'::xid8 ORDER BY s."origin"::text COLLATE "C", greatest(s."date", s."landed")`,
    )
  })

  it('names the wanted keys, quoted, or looks them up in another query', () => {
    expect(streamSelect({ ...plain, bounds: { keys: [encodeKey(key, ["O'Hare"]), encodeKey(key, ['é'])] } })).toContain(
      `AND (s."origin"::text COLLATE "C") IN (('O''Hare'), ('é'))`,
    )
    expect(streamSelect({ ...plain, bounds: { keys: [] } })).toContain('AND false')
    expect(streamSelect({ ...plain, bounds: { keysIn: 'SELECT a FROM b' } })).toContain(
      'AND (s."origin"::text COLLATE "C") IN (SELECT a FROM b)',
    )
  })

  it('compares composite keys part by part, each in its own type', () => {
    const parts = [
      { name: 'a"b', type: { kind: 'int64' } },
      { name: 't', type: { kind: 'timestamp' } },
      { name: 'f', type: { kind: 'bool' } },
    ] as const
    const sql = streamSelect({ ...plain, key: parts, bounds: { keys: [encodeKey(parts, [-7n, june, true])] } })
    expect(sql).toContain(
      `(s."a""b"::int8, s."t"::timestamptz, s."f"::bool) IN (VALUES ('-7'::int8, timestamptz '2001-06-01T00:00:00Z', 'true'::bool))`,
    )
  })

  it('counts a row once that lacks the keys of several views', () => {
    const reading = (...names: string[]) => {
      const spec = viewSpec('things', [lastThing], { kind: 'continuous' })
      const key = names.map((name) => ({ name: `of_${name}`, type: { kind: 'string' } }) as const)
      const source = { ...spec.source, key: names.map((name) => ({ part: `of_${name}`, column: name })) }
      return compileView({ spec: { ...spec, entity: { name: 'e', key }, source }, code: null, fingerprint: 'f' })
    }
    const plans = [reading('a'), reading('b', 'a'), reading('c')]
    const columns = dropColumns(plans)
    expect(plans.map((plan) => columns(plan).map(({ name }) => name))).toEqual([['a', 'b', 'c'], [], []])
  })

  it('counts the rows that a stream omits, in one pass', () => {
    const parts = [...key, { name: 'a"b', type: { kind: 'int64' } }] as const
    expect(leftOutSelect(plain.table, parts, 9)).toBe(
      `SELECT count(*) FILTER (WHERE NOT s."_xid" >= '9'::xid8) AS dropped, count(*) FILTER (WHERE s."_xid" >= '9'::xid8) AS later, ` +
        `max(s."_xid") FILTER (WHERE s."_xid" >= '9'::xid8) AS newest FROM "flights" s WHERE (s."_xid" >= '9'::xid8 OR (s."origin" IS NULL OR s."a""b" IS NULL))`,
    )
    expect(leftOutSelect({ ...plain.table, hasXid: false }, key, 9)).toBe(
      `SELECT count(*) AS dropped, 0::int8 AS later, null::xid8 AS newest FROM "flights" s WHERE (s."origin" IS NULL)`,
    )
    expect(streamSelect({ ...plain, bounds: { arrival: { from: 0, to: 9 } } })).toContain(`IS NOT NULL AND s."_xid" < '9'::xid8 ORDER`)
    const except = [
      { from: 5, to: 6 },
      { from: 7, to: 9 },
    ]
    expect(streamSelect({ ...plain, bounds: { arrival: { from: 5, to: 12, except } } })).toContain(
      `AND ((s."_xid" >= '6'::xid8 AND s."_xid" < '7'::xid8) OR (s."_xid" >= '9'::xid8 AND s."_xid" < '12'::xid8)) ORDER`,
    )
    expect(streamSelect({ ...plain, bounds: { arrival: { from: 5, to: 5 } } })).toContain('AND (false) ORDER')
  })
})
