import { expect, test } from 'vitest'
import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { copyPredictions, createPredictionCopy } from '../../../monitoring/prediction-log/copy-predictions.ts'
import { listPredictionPage, listPredictions, listPredictionsOf } from '../../../monitoring/prediction-log/read-predictions.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { during, openServer } from '../../opened-database.ts'
import { loggedRow } from './logged-row.ts'

const opened = during(() => openServer())
const minute = 60_000_000
const noon = Date.UTC(2001, 6, 1, 12) * 1000

test('predictions of a busy entity are read from its last hour, others from the window', async () => {
  const { db } = opened()
  const copy = createPredictionCopy()
  for (let i = 0; i < 30; i++) {
    const at = noon - 5 * i * minute
    copy.add(loggedRow(at, { requestId: `r${i}`, entities: [Buffer.from('airport\0ATL')], keys: '{"airport":"ATL"}' }))
  }
  await predictionPartitions.create(db, [dayOf(noon)])
  await db.copyIn(
    copyPredictions,
    (async function* () {
      yield* copy.finish()
    })(),
  )
  const firsts: unknown[] = []
  const query: Database['query'] = (sql, parameters, options) => {
    firsts.push(parameters?.[0])
    return db.query(sql, parameters, options)
  }
  const [hourAgo, from] = [noon - 60 * minute, noon - 1000 * minute].map((micros) => micros / 1e6)
  const list = async (limit: number) => {
    firsts.length = 0
    const entity = { keys: { airport: 'ATL' }, entities: [Buffer.from('airport\0ATL')] }
    const rows = await listPredictionsOf({ query }, { ...entity, from: noon - 1000 * minute, to: noon, limit })
    return [rows.map(({ requestId }) => requestId), firsts]
  }
  const newest = (count: number) => Array.from({ length: count }, (_, i) => `r${i}`)
  expect(await list(5)).toEqual([newest(5), [hourAgo]])
  expect(await list(20)).toEqual([newest(20), [hourAgo, from]])
  expect(await list(100)).toEqual([newest(30), [hourAgo, from]])
})

test('pages have each prediction once, also if many have one moment, and entities and requests in order', async () => {
  const { db } = opened()
  const day = noon + 24 * 60 * minute
  const copy = createPredictionCopy()
  for (let i = 0; i < 40; i++) {
    const [requestId, entity] = [`page ${i % 3}`, Math.floor(i / 6)]
    const role = i % 2 === 0 ? 'champion' : 'shadow'
    copy.add(loggedRow(day + Math.floor(i / 20), { requestId, entity, role, predictionId: i < 3 ? null : `id ${i}` }))
  }
  await predictionPartitions.create(db, [dayOf(day)])
  await db.copyIn(
    copyPredictions,
    (async function* () {
      yield* copy.finish()
    })(),
  )
  const all = await listPredictions(db, { since: day, limit: 100 })
  expect(all).toHaveLength(40)
  for (const limit of [1, 7, 20, 40]) {
    const pages = []
    let cursor: string | undefined
    do {
      const page = await listPredictionPage(db, { since: day, limit, cursor })
      pages.push(page.predictions)
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    expect(pages).toHaveLength(Math.ceil(40 / limit))
    expect(pages.flat()).toEqual(all)
  }
})
