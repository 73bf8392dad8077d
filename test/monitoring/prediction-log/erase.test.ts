import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LockstepError } from '../../../kernel/errors.ts'
import type { Receipt } from '../../../materializer/erase/erasing.ts'
import { eraseEntity } from '../../../materializer/erase/erase-entity.ts'
import { finishErasures } from '../../../materializer/erase/finish-erasures.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { World } from '../../serving/world.ts'
import { createWorld } from '../../serving/world.ts'
import { openLog } from './open-log.ts'

let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
})
afterAll(() => world?.close())

const requestedAt = new Date('2001-07-01T13:00:00Z')
const before = requestedAt.getTime() * 1000 - 1
const during = requestedAt.getTime() * 1000 + 1
/** Longer after all erasures than clocks may differ. */
const after = (Date.now() + 3_600_000) * 1000

async function erase(airport: string): Promise<Receipt> {
  const catalog = await loadCatalog(world.db)
  return await eraseEntity(world.db, catalog, catalog.entities.get('airport')!, [airport], requestedAt)
}

async function finish(): Promise<void> {
  await finishErasures(world.db, world.store, await loadCatalog(world.db), { waitMs: 60_000, moment: after })
}

async function left(): Promise<string[]> {
  const rows = await world.db.query<{ route: string }>(
    `select (keys ->> 'airport') || ' ' || (keys ->> 'destination') as route from lockstep.prediction_log order by 1`,
  )
  return rows.map(({ route }) => route)
}

describe('erasing an entity', () => {
  it('removes its logged rows, alone and in batches, with a count on the receipt', async () => {
    const log = openLog(world.db, before)
    log.note(['A', 'B'], ['B', 'C'], ['C', 'A'], ['AA', 'B'], ['C', 'D'])
    await log.close()
    const { parts } = await erase('A')
    expect(parts).toContainEqual(expect.objectContaining({ what: 'removed', kind: 'rows', where: 'lockstep.prediction_log', count: 2 }))
    expect(await left()).toEqual(['AA B', 'B C', 'C D'])
  })

  it('removes rows that a server has queued but not written, and no later ones', async () => {
    const [log, later] = [openLog(world.db, before), openLog(world.db, after)]
    log.note(['D', 'X'], ['X', 'E'])
    later.note(['D', 'Y'])
    const { parts } = await erase('D')
    expect(parts).toContainEqual(expect.objectContaining({ where: 'lockstep.prediction_log', count: 1 }))
    await later.close()
    await log.close()
    expect(await left()).toEqual(['AA B', 'B C', 'D Y', 'X E'])
  })

  it('removes rows logged before its end, even if written later by another server', async () => {
    const [first, second, third] = [openLog(world.db, during), openLog(world.db, during), openLog(world.db, after)]
    let isWritten = false
    const dying = openLog(world.db, during, new Registry(), () => {
      if (isWritten) throw new LockstepError('POSTGRES_UNAVAILABLE', 'It is away.')
      return {
        ...world.db,
        async copyIn(...copy) {
          const rows = await world.db.copyIn(...copy)
          isWritten = true
          return rows
        },
      }
    })
    await erase('F')
    first.note(['F', 'G'], ['G', 'H'])
    await first.close()
    dying.note(['F', 'I'])
    await dying.close()
    expect(await left()).toEqual(['AA B', 'B C', 'D Y', 'F I', 'G H', 'X E'])
    second.note(['F', 'J'])
    third.note(['F', 'K'])
    await finish()
    expect(await left()).toEqual(['AA B', 'B C', 'D Y', 'G H', 'X E'])
    await second.close()
    await third.close()
    expect(await left()).toEqual(['AA B', 'B C', 'D Y', 'F K', 'G H', 'X E'])
  })
})
