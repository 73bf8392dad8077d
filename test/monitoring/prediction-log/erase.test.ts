import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LockstepError } from '../../../kernel/errors.ts'
import type { Receipt } from '../../../materializer/erase/erasing.ts'
import { eraseEntity } from '../../../materializer/erase/erase-entity.ts'
import { finishErasures } from '../../../materializer/erase/finish-erasures.ts'
import { hashText53 } from '../../../kernel/values/hash-text.ts'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import { allPresent } from '../../../kernel/states/state.ts'
import { sampleLog } from '../../../monitoring/prediction-log/sample-log.ts'
import { forgetEntity } from '../../../monitoring/rollups/forget-entity.ts'
import { readRollup } from '../../../monitoring/rollups/read-rollups.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import { RowRecorder } from '../../../monitoring/rollups/row-recorder.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { createLogger } from '../../../runtime/log.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { World } from '../../serving/world.ts'
import { createWorld } from '../../serving/world.ts'
import { servicePlan } from '../../serving/plans.ts'
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
    const asked = { model: 'm', version: 1, service: servicePlan('route'), outputs: [], from: before, to: before + 1, limit: 10 }
    const sampled = await sampleLog(world.db, asked)
    // by the key of each view
    const routes = ['A B', 'AA B', 'B C', 'C A', 'C D']
    expect(sampled.map(({ entities }) => entities.join(' ')).toSorted()).toEqual(routes)
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

  it('removes it from the samples of statistics, whichever key of the service it has', async () => {
    const service = servicePlan('route')
    const columns = ['lastDelay', 'destination__lastDelay'] as const
    const bins = { bins: { kind: 'number', edges: [0, 10] }, binsId: 'bins' } as const
    const recorded = { service, outputs: [] }
    const keyOf = (airport: string) => encodeKey([{ name: 'airport', type: { kind: 'string' } }], [airport])
    const record = (recorder: RowRecorder, ...routes: readonly (readonly [string, string])[]) => {
      const read = { values: [1, 1], statuses: allPresent(2), eventTime: before }
      for (const airports of routes)
        recorder.take({ keys: airports.map(keyOf), request: [] }, service.evaluate([read, read], [], before), [])
    }
    const recorder = new RowRecorder(recorded, { columns: new Map(columns.map((column) => [column, bins])) })
    record(recorder, ['L', 'M'], ['L', 'N'], ['L', 'O'], ['K', 'N'])
    // as a server that is notified before it writes
    recorder.forget({ entity: hashText53(keyOf('O')), text: null })
    record(recorder, ['K', 'L'])
    const writer = createRollupWriter({ database: () => world.db, log: createLogger('silent') })
    const minute = Math.floor(before / 60_000_000) * 60_000_000
    const key = { model: 'm', version: 1, role: 'champion' }
    writer.add(minute, 'p', { key, traffic: new TrafficSummary(), columns: recorder.summary() })
    writer.end(minute, 'p', false)
    await writer.write()
    const found = async () => {
      const rollup = await readRollup(world.db, { model: 'm', from: minute, to: minute + 60_000_000 })
      return columns.map((column) => {
        const { entities, bins: [counted] = [] } = rollup.columns.get(column) ?? { entities: 0 }
        return [entities, counted?.sums.entities, counted?.counts.reduce((sum, count) => sum + count, 0)]
      })
    }
    // the counts of all rows stay
    expect(await found()).toEqual([
      [2, 2, 5],
      [3, 3, 5],
    ])
    const airport = (await loadCatalog(world.db)).entities.get('airport') ?? expect.unreachable()
    expect(await forgetEntity(world.db, airport, ['M'])).toBe(1)
    expect(await found()).toEqual([
      [2, 2, 5],
      [2, 2, 5],
    ])
  })
})
