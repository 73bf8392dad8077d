import type { EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { ownedTableChange } from '../../registry/changes/owned-table.ts'
import { describeSource } from '../../registry/changes/source-table.ts'
import type { Database } from '../../runtime/postgres/database.ts'

export const sensor: EntitySpec = {
  name: 'sensor',
  key: [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'place', type: { kind: 'string' } },
  ],
}

/** A source whose table Lockstep creates, with a column of every type. */
export const measures: SourceSpec = {
  name: 'measures',
  relation: { kind: 'owned' },
  key: [
    { part: 'id', column: 'id' },
    { part: 'place', column: 'place' },
  ],
  eventTime: 'at',
  known: 'seen',
  columns: [
    { name: 'b', type: { kind: 'bool' } },
    { name: 'i', type: { kind: 'int32' } },
    { name: 'l', type: { kind: 'int64' } },
    { name: 'f', type: { kind: 'float32' } },
    { name: 'd', type: { kind: 'float64' } },
    { name: 's', type: { kind: 'string' } },
    { name: 't', type: { kind: 'timestamp' } },
    { name: 'v', type: { kind: 'vector', length: 2 } },
  ],
}

/** The source as `apply` creates it. */
export async function createMeasures(db: Database): Promise<void> {
  await db.script('create schema if not exists lockstep_source; drop table if exists lockstep_source.measures')
  const change = ownedTableChange(measures, [sensor], await describeSource(db.kysely, measures))
  for (const statement of change?.statements ?? []) await db.query(statement)
}

export const nothing = { b: null, i: null, l: null, f: null, d: null, s: null, t: null, v: null }
