import { expect, it } from 'vitest'
import { predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { during, openServer } from '../../opened-database.ts'

const opened = during(() => openServer())

it('a new day of the log is indexed by time as it fills, and not only by its next vacuum', async () => {
  const { db } = opened()
  await predictionPartitions.create(db, [20_000])
  const indexes = await db.query<{ options: readonly string[] | null }>(
    `SELECT c.reloptions AS options FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
     WHERE i.indrelid = 'lockstep.prediction_log_20241004'::regclass AND a.amname = 'brin'`,
  )
  expect(indexes).toEqual([{ options: ['autosummarize=on'] }])
})
