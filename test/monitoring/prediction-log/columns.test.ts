import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSnapshot } from '../../../runtime/postgres/snapshot-bounds.ts'
import type { LoggedPrediction } from '../../../monitoring/prediction-log/columns.ts'
import { logColumnName, logColumns, logFields, readLog } from '../../../monitoring/prediction-log/columns.ts'
import { copyPredictions, createPredictionCopy } from '../../../monitoring/prediction-log/copy-predictions.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openEmbedded, openServer } from '../../opened-database.ts'

describe.each([
  ['PostgreSQL', openServer],
  ['PGlite', openEmbedded],
])('the columns of the prediction log on %s', (_, open) => {
  let opened: OpenedDatabase
  beforeAll(async () => {
    opened = await open()
  })
  afterAll(() => opened?.close())

  it('match the migrated table', async () => {
    const migrated = await opened.db.query(`
      SELECT attname AS name, CASE WHEN atttypid = 'timestamptz'::regtype THEN 'timestamptz' ELSE format_type(atttypid, atttypmod) END AS type,
        NOT attnotnull AS nullable
      FROM pg_attribute WHERE attrelid = 'lockstep.prediction_log'::regclass AND attnum > 0 AND NOT attisdropped
      ORDER BY attname COLLATE "C"`)
    const listed = logFields.map((field) => ({
      name: logColumnName(field),
      type: logColumns[field].type,
      nullable: 'nullable' in logColumns[field],
    }))
    expect(listed.sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(migrated)
  })

  it('read back as they were written', async () => {
    const at = Date.UTC(2001, 6, 1, 12) * 1000 + 1
    const row: LoggedPrediction = {
      at,
      requestId: 'request ü',
      predictionId: 'request/1',
      entity: 1,
      model: 'm',
      version: 2,
      service: 's@1',
      serviceFingerprint: 'f',
      asOf: at - 86_400_000_001,
      entities: [Buffer.from('airport\0ATL'), Buffer.alloc(0)],
      keys: '{"airport":"ATL"}',
      request: '{"distance":1}',
      features: '{"delay":"NaN"}',
      statuses: '{}',
      reads: '[]',
      outputs: '{"p":0.5}',
      latencyMicros: 2 ** 31 - 1,
      apiKey: null,
      degraded: true,
      skewed: false,
      snapshot: parseSnapshot('3:7:4,5'),
      role: 'arm',
      experiment: 'e',
      variant: 'v',
      stages: [1, 2 ** 31 - 1],
      bypassed: 7,
    }
    const older = {
      ...row,
      predictionId: null,
      role: null,
      experiment: null,
      variant: null,
      entities: [],
      apiKey: 'k',
      degraded: false,
      skewed: true,
    }
    await predictionPartitions.create(opened.db, [dayOf(at)])
    const copy = createPredictionCopy()
    for (const each of [row, older]) copy.add(each)
    const chunks = copy.finish()
    await opened.db.copyIn(
      copyPredictions,
      (async function* () {
        yield* chunks
      })(),
    )
    const read = await readLog(opened.db, logFields, 'ORDER BY prediction_log.prediction_id NULLS LAST', [])
    const json = {
      keys: { airport: 'ATL' },
      request: { distance: 1 },
      features: { delay: 'NaN' },
      statuses: {},
      reads: [],
      outputs: { p: 0.5 },
    }
    // PGlite gives bytes that are no Buffer
    const plain = read.map((each) => ({ ...each, entities: each.entities.map((entity) => Buffer.from(entity)) }))
    expect(plain).toEqual([row, older].map((each) => ({ ...each, ...json, snapshot: '3:7:4,5' })))
  })
})
