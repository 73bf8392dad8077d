import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allBelow } from '../../kernel/states/frontier.ts'
import { Status } from '../../kernel/states/state.ts'
import { encodeStored, readHeader } from '../../kernel/states/stored-state.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { advanceCheckpoint, firstCheckpoint, checkpointKey, readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import { readOnline } from '../../online/read.ts'
import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import { budget } from '../budget.ts'
import { accountKey, asRow, minute, payment, start } from '../materializer/payments.ts'
import { paymentsPlan } from '../materializer/plans.ts'

const moment = start + 400 * minute
const witness = () => Promise.resolve({ writer: '11111111-2222-4333-8444-555555555555', number: 3 })

describe('reading features from the online store', () => {
  const plan = paymentsPlan({ relation: { kind: 'table', table: 'payments' } })
  const other = paymentsPlan({ name: 'others', relation: { kind: 'table', table: 'payments' } })
  let directory: string
  let store: OnlineStore
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lockstep-read-'))
    store = openEmbeddedStore(directory)
    for (const { id, fingerprint } of [plan, other]) {
      const facts = { fingerprint, incremental: true, removing: false, origin: { id: '1', startedAt: new Date(0) } }
      await writeCheckpoint(store, id, { ...facts, frontier: allBelow(7) }, null)
    }
  })
  afterAll(async () => {
    await store?.close()
    await rm(directory, { recursive: true })
  })

  const keyOf = (account: string): OnlineKey => ({ view: plan.id, entity: 'account', key: accountKey(plan, account) })

  async function put(account: string, ...payments: readonly { minutes: number; amount: number }[]): Promise<void> {
    const state = plan.newState()
    for (const [i, { minutes, amount }] of payments.entries()) {
      const row = plan.fold(start + minutes * minute, null, i, [amount, null])
      if (row !== null) state.add(row, moment)
    }
    const [stored] = await store.write([{ ...keyOf(account), expected: null, bytes: encodeStored(state, allBelow(7)) }])
    expect(stored).toBe(true)
  }

  it('decodes nothing for a caller whose deadline has passed', async () => {
    await store.write([{ ...keyOf('damaged'), expected: null, bytes: Buffer.from('no state') }])
    const late = new Error('late')
    const caller = {
      requireInTime() {
        throw late
      },
    }
    const requests = [{ plan, key: accountKey(plan, 'damaged') }]
    await expect(readOnline(store, requests, moment, true, caller)).rejects.toBe(late)
  })

  it('answers at a moment with values, frontier and high-water mark, in request order', async () => {
    await put('one', { minutes: 1, amount: 10 }, { minutes: 3, amount: 20 })
    const asOf = start + 10 * minute
    const requests = ['nobody', 'one', null, 'one'].map((account) => ({ plan, key: account === null ? null : accountKey(plan, account) }))
    const [nobody, one, without, again] = await readOnline(store, requests, asOf)
    expect(one).toMatchObject({ frontier: allBelow(7), highWater: start + 3 * minute })
    expect(one?.values?.values.slice(0, 3)).toEqual([20, 2, 30])
    expect(again).toEqual(one)
    expect(nobody).toMatchObject({ frontier: null, highWater: Number.NEGATIVE_INFINITY })
    expect(nobody?.values?.statuses.every((status) => status === Status.notFound)).toBe(true)
    expect(without).toEqual(nobody)
  })

  it('decodes many states in turns, and ends once the deadline has passed', async () => {
    await put('often', ...Array.from({ length: 300 }, (_, i) => ({ minutes: i, amount: i })))
    const [bytes] = await store.read([keyOf('often')])
    if (!bytes) throw new Error('It was stored.')
    // a turn decodes some 40
    const keys = Array.from({ length: 1000 }, (_, i) => keyOf(`often${i}`))
    await store.write(keys.map((key) => ({ ...key, expected: null, bytes })))
    const requests = keys.map(({ key }) => ({ plan, key }))
    const answers = await readOnline(store, requests, moment)
    const [alone] = await readOnline(store, requests.slice(0, 1), moment)
    expect(answers).toEqual(requests.map(() => alone))

    const late = new Error('late')
    let turns = 0
    const caller = {
      requireInTime() {
        if (++turns === 3) throw late
      },
    }
    await expect(readOnline(store, requests, moment, true, caller)).rejects.toBe(late)
  })

  it('reads and decodes a state once that many requests ask for', async () => {
    for (const account of ['user', 'item']) await put(account, { minutes: 1, amount: 1 })
    const reads: number[] = []
    const counting: OnlineStore = {
      ...store,
      read(keys, options) {
        reads.push(keys.length)
        return store.read(keys, options)
      },
    }
    const accounts = Array.from({ length: 30 }, (_, i) => ['user', 'item', null][i % 3] ?? null)
    const requests = accounts.map((account) => ({ plan, key: account === null ? null : accountKey(plan, account) }))
    const answers = await readOnline(counting, [...requests, { plan: other, key: accountKey(plan, 'nobody') }], moment)
    expect(reads[0]).toBe(3)
    const singly = await Promise.all(requests.map(async (request) => (await readOnline(store, [request], moment))[0]))
    expect(answers.slice(0, 30)).toEqual(singly)
    expect(answers[27]).toBe(answers[0])
  })

  it('reads each view under its own plan', async () => {
    await put('shared', { minutes: 1, amount: 1 })
    const key = accountKey(plan, 'shared')
    const [mine, theirs] = await readOnline(
      store,
      [
        { plan, key },
        { plan: other, key },
      ],
      moment,
    )
    expect(mine?.frontier).toEqual(allBelow(7))
    expect(theirs?.frontier).toBe(null)
  })

  it('treats an absent state as an unseen entity only in a complete view', async () => {
    const empty = paymentsPlan({ name: 'empty', relation: { kind: 'table', table: 'payments' } })
    await put('there', { minutes: 1, amount: 1 })
    const reads: (readonly OnlineKey[])[] = []
    const counting: OnlineStore = {
      ...store,
      read(keys, options) {
        reads.push(keys)
        return store.read(keys, options)
      },
    }
    const requests = (...accounts: string[]) => accounts.map((account) => ({ plan, key: accountKey(plan, account) }))
    await readOnline(counting, requests('there'), moment)
    expect(reads.length).toBe(1)
    await readOnline(counting, requests('there', 'absent', 'absent too'), moment)
    expect(reads.slice(2)).toEqual([[checkpointKey(plan.id)], [keyOf('absent'), keyOf('absent too')]])

    const asked = () => readOnline(store, [{ plan: empty, key: accountKey(empty, 'absent') }], moment)
    const notReady = { code: 'NOT_READY', message: expect.stringContaining('"empty@1"'), details: { view: 'empty@1' } }
    const facts = { fingerprint: empty.fingerprint, incremental: true, origin: { id: '1', startedAt: new Date(0) } }
    await expect(asked()).rejects.toMatchObject(notReady)
    for (const checkpoint of [
      firstCheckpoint({ ...facts, removing: false }),
      firstCheckpoint({ ...facts, removing: true }),
      { ...facts, removing: false, fingerprint: 'another', frontier: allBelow(7) },
    ]) {
      await writeCheckpoint(store, empty.id, checkpoint, await readCheckpoint(store, empty.id))
      await expect(asked()).rejects.toMatchObject(notReady)
    }
    await writeCheckpoint(store, empty.id, { ...facts, removing: false, frontier: allBelow(8) }, await readCheckpoint(store, empty.id))
    expect((await asked())[0]?.values?.statuses.every((status) => status === Status.notFound)).toBe(true)
  })

  it('reads absent states of a rolled-back view from history, and answers the others', async () => {
    const back = paymentsPlan({ name: 'back', relation: { kind: 'table', table: 'payments' } })
    const facts = { fingerprint: back.fingerprint, incremental: true, removing: false, origin: { id: '1', startedAt: new Date(0) } }
    await writeCheckpoint(store, back.id, { ...facts, setBack: true, frontier: allBelow(7) }, null)
    const bytes = encodeStored(back.newState(), allBelow(7))
    await store.write([{ view: back.id, entity: 'account', key: accountKey(back, 'there'), expected: null, bytes }])
    const keys = [accountKey(back, 'there'), accountKey(back, 'absent'), null]
    const requests = [...keys.map((key) => ({ plan: back, key })), { plan, key: accountKey(plan, 'absent') }]
    const asked = async () => (await readOnline(store, requests, moment)).map(({ values }) => values !== null)
    expect(await asked()).toEqual([true, false, true, true])
    expect(await findIncompleteViews(store, [back])).toEqual([])
    const checkpoint = await readCheckpoint(store, back.id)
    if (checkpoint === null) throw new Error('There is no checkpoint.')
    await advanceCheckpoint(store, back.id, checkpoint, { folded: allBelow(8), begunAt: moment, witness })
    expect(await asked()).toEqual([true, true, true, true])
  })

  it('reports a view whose checkpoint is unreadable, and no other view', async () => {
    const bad = paymentsPlan({ name: 'bad', relation: { kind: 'table', table: 'payments' } })
    await store.write([{ ...checkpointKey(bad.id), expected: null, bytes: Buffer.from('\x05 the format of a later build') }])
    expect(await findIncompleteViews(store, [bad, plan, other])).toEqual([
      { view: bad.id, code: 'STATE_VERSION', problem: expect.stringContaining('"bad@1"') },
    ])
    await expect(readOnline(store, [{ plan: bad, key: accountKey(bad, 'absent') }], moment)).rejects.toMatchObject({
      code: 'STATE_VERSION',
      details: { view: bad.id },
    })
    expect((await readOnline(store, [{ plan, key: accountKey(plan, 'absent') }], moment))[0]?.frontier).toBeNull()
  })

  it('reads from the primary what a lagging replica lacks', async () => {
    await put('lagging', { minutes: 1, amount: 1 })
    const lagging: Pick<OnlineStore, 'read'> = {
      read: async (keys, options) => (options?.behind === true ? keys.map(() => null) : await store.read(keys)),
    }
    const requests = ['nobody', 'lagging'].map((account) => ({ plan, key: accountKey(plan, account) }))
    expect((await readOnline(lagging, requests, moment)).map(({ frontier }) => frontier)).toEqual([null, allBelow(7)])
  })

  it('reads moments before the high-water mark from history, the mark itself online', async () => {
    await put('past', { minutes: 5, amount: 1 })
    const key = accountKey(plan, 'past')
    const mark = start + 5 * minute
    const [before] = await readOnline(store, [{ plan, key }], mark - 1)
    expect(before).toEqual({ values: null, frontier: allBelow(7), highWater: mark, bytes: expect.any(Buffer) })
    const [at] = await readOnline(store, [{ plan, key }], mark)
    expect(at?.values?.values[0]).toBe(1)
  })

  it('answers as the state that was never stored would', async () => {
    let round = 0
    await fc.assert(
      fc.asyncProperty(fc.array(payment, { maxLength: 20 }), fc.integer({ min: 0, max: 900 }), async (payments, minutes) => {
        const account = `generated${round++}`
        const [direct, saved] = [plan.newState(), plan.newState()]
        for (const [i, each] of payments.entries()) {
          const { eventTime, knownTime, tie, values } = asRow(plan, { ...each, account }, i, 0)
          const row = plan.fold(eventTime, knownTime, tie, values)
          if (row !== null) for (const state of [direct, saved]) state.add(row, moment)
        }
        await store.write([{ ...keyOf(account), expected: null, bytes: encodeStored(saved, allBelow(1)) }])
        const asOf = start + minutes * minute
        const [answer] = await readOnline(store, [{ plan, key: accountKey(plan, account) }], asOf)
        expect(answer?.values).toEqual(asOf < direct.highWater ? null : direct.valueAt(asOf))
      }),
      { numRuns: budget(100) },
    )
  })

  it('never answers a damaged state, for any damaged byte, but reads from history', async () => {
    await put('sound', { minutes: 1, amount: 10 }, { minutes: 3, amount: 20 })
    const [sound] = await store.read([keyOf('sound')])
    if (!sound) throw new Error('it was stored')
    for (let at = 0; at < sound.length; at++) {
      for (const bit of [1, 64]) {
        const bytes = Buffer.from(sound)
        bytes[at] = (bytes[at] as number) ^ bit
        const damaged = { read: async () => [bytes] }
        const reading = readOnline(damaged, [{ plan, key: accountKey(plan, 'sound') }], moment)
        // of a format that no build writes, or a later one
        if (at === 0) await expect(reading).rejects.toMatchObject({ code: expect.stringMatching(/^STATE_/) })
        else expect(await reading).toMatchObject([{ values: null, bytes: null, damage: { code: 'STATE_CORRUPT' } }])
      }
    }
  })

  it('reads a state that an earlier build wrote without a check sum', async () => {
    await put('older', { minutes: 1, amount: 10 })
    const [bytes] = await store.read([keyOf('older')])
    if (!bytes) throw new Error('it was stored')
    const { headEnd } = readHeader(bytes, plan.id)
    const older = Buffer.concat([Buffer.of(3), bytes.subarray(1, headEnd), bytes.subarray(headEnd + 4)])
    const asked = [{ plan, key: accountKey(plan, 'older') }]
    const [now, then] = [await readOnline(store, asked, moment), await readOnline({ read: async () => [older] }, asked, moment)]
    expect(then).toEqual(now.map((answer) => ({ ...answer, bytes: older })))
  })

  it('moves a checkpoint on that an earlier build wrote', async () => {
    const old = paymentsPlan({ name: 'old', relation: { kind: 'table', table: 'payments' } })
    const facts = { fingerprint: old.fingerprint, incremental: true, removing: false, origin: { id: '1', startedAt: new Date(0) } }
    await writeCheckpoint(store, old.id, { ...facts, frontier: allBelow(7) }, null)
    const [bytes] = await store.read([checkpointKey(old.id)])
    if (!bytes) throw new Error('it was stored')
    const { headEnd } = readHeader(bytes, old.id)
    const older = Buffer.concat([Buffer.of(3), bytes.subarray(1, headEnd), bytes.subarray(headEnd + 4)])
    expect(await store.write([{ ...checkpointKey(old.id), expected: bytes, bytes: older }])).toEqual([true])
    const checkpoint = await readCheckpoint(store, old.id)
    if (checkpoint === null) throw new Error('it is there')
    await advanceCheckpoint(store, old.id, checkpoint, { folded: allBelow(9), begunAt: 1, witness })
    expect(await readCheckpoint(store, old.id)).toEqual({ ...facts, frontier: allBelow(9), begunAt: 1, witness: await witness() })
  })

  it('names the view if the bytes are not a state', async () => {
    await store.write([{ ...keyOf('foreign'), expected: null, bytes: Buffer.from('not ours') }])
    await expect(readOnline(store, [{ plan, key: accountKey(plan, 'foreign') }], moment)).rejects.toMatchObject({
      code: 'STATE_CORRUPT',
      message: expect.stringContaining('"payments@1"'),
    })
    await store.write([{ ...keyOf('newer'), expected: null, bytes: Buffer.from('\x05 the format of a later build') }])
    await expect(readOnline(store, [{ plan, key: accountKey(plan, 'newer') }], moment)).rejects.toMatchObject({ code: 'STATE_VERSION' })
  })
})
