import { beforeEach, describe, expect, it, vi } from 'vitest'
import { sql } from 'kysely'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { EventIntakeOptions } from '../../materializer/events/event-intake.ts'
import { createEventIntake } from '../../materializer/events/event-intake.ts'
import { during, openServer } from '../opened-database.ts'
import { createMeasures, measures, nothing } from './events-source.ts'

const receivedAt = parseTimestamp('2026-03-01T12:00:00Z')

describe('the intake of pushed events', () => {
  const opened = during(() => openServer())
  const waited: number[] = []
  beforeEach(async () => {
    await createMeasures(opened().db)
    waited.length = 0
  })

  function intake(options: Partial<EventIntakeOptions> = {}) {
    const never = () => {
      throw new Error('nothing is to be folded here')
    }
    return createEventIntake(
      {
        database: () => opened().db,
        store: never,
        views: never,
        metrics: { waiting: (_, events) => void waited.push(events), folded: never },
        onFoldFailure: never,
        onTooLarge: never,
      },
      { futureMicros: 600_000_000, ...options },
    )
  }
  const event = (fields: object = {}) => ({ id: 1, place: 'here', at: '2026-03-01T11:00:00Z', ...nothing, ...fields })
  const options = { to: 'offline', receivedAt } as const
  const rows = async () =>
    await opened().db.query<{ i: number; xid: string }>('select i, _xid::text as xid from lockstep_source.measures order by _row')

  /** Has nobody write to the table while `work` runs. */
  async function locked(work: () => Promise<void>): Promise<void> {
    await opened()
      .db.kysely.transaction()
      .execute(async (transaction) => {
        await sql`lock table lockstep_source.measures in access exclusive mode`.execute(transaction)
        await work()
      })
  }

  it('writes events that arrive during a transaction together, and answers each one', async () => {
    const { push, close } = intake()
    const first = await push(measures, [event({ i: 0 })], options)
    expect(first).toMatchObject({ accepted: 1, duplicates: 0, online: null })
    const others: Promise<unknown>[] = []
    await locked(async () => {
      others.push(push(measures, [event({ i: 1 })], options))
      await new Promise(setImmediate)
      for (let i = 2; i < 40; i++) others.push(push(measures, [event({ i, _event_id: `e${i % 30}` })], options))
      await new Promise(setImmediate)
    })
    const answers = await Promise.all(others)
    expect(answers.slice(0, 29)).toEqual(Array.from({ length: 29 }, () => expect.objectContaining({ accepted: 1, duplicates: 0 })))
    expect(answers.slice(31)).toEqual(Array.from({ length: 8 }, () => expect.objectContaining({ accepted: 0, duplicates: 1 })))
    const written = await rows()
    expect(written.map(({ i }) => i)).toEqual(Array.from({ length: 32 }, (_, i) => i))
    expect(new Set(written.map(({ xid }) => xid)).size).toBe(3)
    await close(0)
  })

  it('refuses events that only a clock behind the database takes for future ones', async () => {
    const { push, close } = intake()
    const now = Date.now() * 1000
    const hour = 3_600_000_000
    const clock = vi.spyOn(Date, 'now').mockReturnValue((now - hour) / 1000)
    const sent = (at: number) => push(measures, [event({ i: 1, at })], { to: 'offline', receivedAt: now - hour })
    await expect(sent(now)).rejects.toMatchObject({
      code: 'NOT_READY',
      message: expect.stringMatching(/^The clock of this process is 36\d\d s behind the database's/) as string,
    })
    await expect(sent(now + hour)).rejects.toMatchObject({ code: 'INVALID_EVENT', details: { reason: 'future' } })
    expect(await rows()).toEqual([])
    expect(await sent(now - hour)).toMatchObject({ accepted: 1 })
    clock.mockRestore()
    await expect(sent(now)).rejects.toMatchObject({ code: 'INVALID_EVENT' })
    await close(0)
  })

  it('refuses one request of a group and writes the others', async () => {
    await opened().db.query('alter table lockstep_source.measures add constraint positive check (i > 0)')
    const { push, close } = intake()
    await push(measures, [event({ i: 1 })], options)
    const outcomes: Promise<unknown>[] = []
    await locked(async () => {
      for (const i of [2, 3, -1, 4])
        outcomes.push(push(measures, [event({ i: 5 }), event({ i })], options).catch((error: unknown) => error))
      await new Promise(setImmediate)
    })
    const settled = await Promise.all(outcomes)
    expect(settled[2]).toMatchObject({ code: 'INVALID_EVENT', details: { event: 1, reason: 'refused_by_table' } })
    expect(settled.toSpliced(2, 1)).toEqual([2, 3, 4].map(() => expect.objectContaining({ accepted: 2 })))
    expect((await rows()).map(({ i }) => i)).toEqual([1, 5, 2, 5, 3, 5, 4])
    await close(0)
  })

  it('names the first event that conflicts with another of its request', async () => {
    await opened().db.query('alter table lockstep_source.measures add constraint single unique (i) deferrable initially deferred')
    const { push, close } = intake()
    const pushed = push(
      measures,
      [1, 2, 1, 3].map((i) => event({ i })),
      options,
    )
    await expect(pushed).rejects.toMatchObject({ code: 'INVALID_EVENT', details: { event: 2, reason: 'refused_by_table' } })
    expect(await rows()).toEqual([])
    await close(0)
  })

  it('refuses at once above its queue limit, and loses nothing accepted', async () => {
    const { push, close } = intake({ waitingEvents: 10 })
    await push(measures, [event()], options)
    const outcomes: Promise<unknown>[] = []
    const push2 = () => push(measures, [event({ i: 1 }), event({ i: 1 })], options).catch((error: unknown) => error)
    await locked(async () => {
      for (let i = 0; i < 9; i++) {
        outcomes.push(push2())
        await new Promise(setImmediate)
      }
    })
    const settled = await Promise.all(outcomes)
    expect(Math.max(...waited)).toBe(10)
    const refused = settled.filter((outcome) => outcome instanceof Error)
    expect(refused).toHaveLength(3)
    expect(refused[0]).toMatchObject({ code: 'OVERLOADED', message: expect.stringContaining('"measures" has 10 events waiting') })
    expect(await rows()).toHaveLength(1 + 2 * 6)
    expect(waited.at(-1)).toBe(0)
    await close(0)
  })

  it('limits the queue by bytes too', async () => {
    const { push, close } = intake({ waitingBytes: 100_000 })
    await push(measures, [event()], options)
    const outcomes: Promise<unknown>[] = []
    await locked(async () => {
      for (let i = 0; i < 5; i++) {
        outcomes.push(push(measures, [event({ s: 'x'.repeat(20_000) })], options).catch((error: unknown) => error))
        await new Promise(setImmediate)
      }
    })
    expect((await Promise.all(outcomes)).filter((outcome) => outcome instanceof Error)).toHaveLength(2)
    await close(0)
  })

  it('writes all accepted events on close', async () => {
    const { push, close } = intake()
    await push(measures, [event()], options)
    const pushes = Array.from({ length: 20 }, () => push(measures, [event()], options))
    await Promise.resolve()
    await close(0)
    expect(await rows()).toHaveLength(21)
    await Promise.all(pushes)
  })
})
