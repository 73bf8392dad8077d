import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'
import { copyEmbedded } from '../services/embedded-template.ts'
import { createPaymentsTable } from './payments-table.ts'
import { minute, payment, start, storedStates } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const moment = start + 2_000 * minute

describe('materializing in the embedded default', () => {
  let directory: string
  let db: Database
  let store: OnlineStore
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lockstep-embedded-'))
    await copyEmbedded(join(directory, 'postgres'))
    db = await openPglite(join(directory, 'postgres'))
    store = openEmbeddedStore(join(directory, 'online'))
  })
  afterAll(async () => {
    await store?.close()
    await db?.close()
    await rm(directory, { recursive: true })
  })

  it('gives the bytes of one fold, and continues after both are closed and reopened', async () => {
    const table = await createPaymentsTable(db, 'payments')
    const plan = paymentsPlan({ relation: { kind: 'table', table: 'payments' } })
    await table.insert(fc.sample(payment, 40))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'incremental', from: 0, rows: 40 })
    await store.close()
    await db.close()
    db = await openPglite(join(directory, 'postgres'))
    store = openEmbeddedStore(join(directory, 'online'))
    await db.query(table.insertSql([{ account: 'late', paidAt: start, knownAt: null, amount: 1, label: null }]))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 1, entities: 1 })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0, entities: 0 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    const [status] = await materializationStatus(db, Date.now())
    expect(status).toMatchObject({ view: plan.id, rows: 0 })
  })

  it('runs several views at once, one snapshot after the other', async () => {
    const table = await createPaymentsTable(db, 'shared_payments')
    await table.insert(fc.sample(payment, 60))
    const plans = ['first', 'second', 'third'].map((name) => paymentsPlan({ name, relation: { kind: 'table', table: 'shared_payments' } }))
    const results = await Promise.all([...plans, ...plans].map((plan) => materializeView(db, store, plan, { moment })))
    expect(results.map(({ rows }) => rows).sort((a, b) => a - b)).toEqual([0, 0, 0, 60, 60, 60])
    for (const plan of plans) expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })
})
