import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ValueType } from '../../kernel/values/value-type.ts'
import type { ArrowField } from '../../runtime/arrow/arrow-schema.ts'
import { budget } from '../budget.ts'
import { arrowTables, namedColumns, scalarKinds, streamOf } from './arrow-tables.ts'
import { readArrow } from './read-arrow.ts'

describe('an Arrow stream', () => {
  it('is read back exactly by the package apache-arrow, for every type', () => {
    fc.assert(
      fc.property(arrowTables, fc.string({ unit: 'grapheme' }), (table, text) => {
        const { columns, about } = readArrow(streamOf(table, { text }))
        expect(columns).toEqual(namedColumns(table))
        expect(about).toEqual({ text })
      }),
      { numRuns: budget(1000) },
    )
  })

  it('has columns of the types that the docs list', () => {
    const kinds: ValueType[] = [
      ...scalarKinds.map((kind) => ({ kind })),
      { kind: 'vector', length: 3 },
      { kind: 'list', of: { kind: 'int64' }, nulls: true },
      { kind: 'counts' },
    ]
    const fields = kinds.map((type): ArrowField => ({ name: type.kind, type, nullable: true }))
    const { types } = readArrow(streamOf({ fields, columns: fields.map(() => []), rows: 0 }, {}))
    expect(types).toEqual({
      bool: 'Bool',
      int32: 'Int32',
      int64: 'Int64',
      float32: 'Float32',
      float64: 'Float64',
      string: 'Utf8',
      timestamp: 'Timestamp<MICROSECOND, UTC>',
      vector: 'FixedSizeList[3]<Float32>',
      list: 'List<Int64>',
      counts: 'Map<{key:Utf8, value:Int64}>',
    })
  })
})
