import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Receipt } from '../../../materializer/erase/erasing.ts'
import { eraseEntity } from '../../../materializer/erase/erase-entity.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'
import { openLog } from './open-log.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
})
afterAll(() => world?.close())

const requestedAt = new Date('2001-07-01T13:00:00Z')
const before = requestedAt.getTime() * 1000 - 1
const after = requestedAt.getTime() * 1000 + 1

async function erase(airport: string): Promise<Receipt> {
  const catalog = await loadCatalog(world.db)
  return await eraseEntity(world.db, catalog, catalog.entities.get('airport')!, [airport], requestedAt)
}

async function left(): Promise<string[]> {
  const rows = await world.db.query<{ route: string }>(
    `select (keys ->> 'airport') || ' ' || (keys ->> 'destination') as route from lockstep.prediction_log order by 1`,
  )
  return rows.map(({ route }) => route)
}

describe('erasing an entity', () => {
  it('removes what was logged of it, alone and beside others, and says so on the receipt', async () => {
    const log = openLog(world.db, before)
    log.note(['A', 'B'], ['B', 'C'], ['C', 'A'], ['AA', 'B'], ['C', 'D'])
    await log.close()
    const { parts } = await erase('A')
    expect(parts).toContainEqual(expect.objectContaining({ what: 'removed', kind: 'rows', where: 'lockstep.prediction_log', count: 2 }))
    expect(await left()).toEqual(['AA B', 'B C', 'C D'])
  })

  it('removes what a server had noted and not written yet, and nothing that came after it', async () => {
    const [log, later] = [openLog(world.db, before), openLog(world.db, after)]
    log.note(['D', 'X'], ['X', 'E'])
    later.note(['D', 'Y'])
    const { parts } = await erase('D')
    expect(parts).toContainEqual(expect.objectContaining({ where: 'lockstep.prediction_log', count: 1 }))
    await later.close()
    await log.close()
    expect(await left()).toEqual(['AA B', 'B C', 'D Y', 'X E'])
  })
})
