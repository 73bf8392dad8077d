import fc from 'fast-check'
import { ByteWriter } from '../../kernel/values/binary.ts'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { Tie } from '../../kernel/states/state.ts'
import { noTransactions } from '../../kernel/states/frontier.ts'
import { encodeStored, readHeader } from '../../kernel/states/stored-state.ts'
import { valueCodec } from '../../kernel/values/value-codec.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { SourceRow } from '../../offline/rows/row-decoder.ts'
import type { OnlineStore } from '../../online/store.ts'

export const start = 990_000_000_000_000
export const minute = 60_000_000

/** One row of the payments table; times in epoch microseconds. */
export interface Payment {
  readonly account: string
  readonly paidAt: number
  /** null: with the event. */
  readonly knownAt: number | null
  readonly amount: number | null
  readonly label: string | null
}

/** Few accounts and coarse times, so that ties, late rows and rows of the future are common. */
export const payment: fc.Arbitrary<Payment> = fc.record({
  account: fc.constantFrom('a', 'b', 'c', 'é', '}{'),
  paidAt: fc.integer({ min: 0, max: 60 }).map((i) => start + i * 11 * minute),
  knownAt: fc.option(fc.integer({ min: -10, max: 200 }).map((i) => start + i * 7 * minute)),
  amount: fc.option(fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double())),
  label: fc.option(fc.constantFrom('', 'x', 'ü')),
})

export function accountKey(plan: ViewPlan, account: string): EntityKey {
  return encodeKey(plan.key, [account])
}

/** The tie-breaker of a table without `_row`: the columns by name, in canonical form. */
export function columnsTie({ amount, label }: Payment): Tie {
  const writer = new ByteWriter()
  valueCodec({ kind: 'float64' }).write(writer, amount === null ? null : amount + 0)
  valueCodec({ kind: 'string' }).write(writer, label)
  return writer.bytes().toString('latin1')
}

/** The payment as a stream delivers it, `tie` being its `_row` where it has one. */
export function asRow(plan: ViewPlan, { account, paidAt, knownAt, amount, label }: Payment, tie: Tie, xid: number): SourceRow {
  return {
    key: accountKey(plan, account),
    eventTime: paidAt,
    knownTime: knownAt,
    sortTime: Math.max(paidAt, knownAt ?? paidAt),
    tie,
    xid,
    values: [amount === null ? null : amount + 0, label],
  }
}

/** The oracle: every account's state folded from scratch in the order of arrival, without its frontier. */
export function foldAll(plan: ViewPlan, rows: readonly SourceRow[], moment: number): Map<EntityKey, string> {
  const states = new Map<EntityKey, ReturnType<ViewPlan['newState']>>()
  for (const row of rows) {
    const folded = plan.fold(row.eventTime, row.knownTime, row.tie, row.values)
    if (folded === null) continue
    const state = states.get(row.key) ?? plan.newState()
    states.set(row.key, state)
    state.add(folded, moment)
  }
  return new Map([...states].map(([key, state]) => [key, withoutFrontier(encodeStored(state, noTransactions))]))
}

/** The stored states of these keys without frontiers, which differ by the run that wrote last. */
export async function storedStates(store: OnlineStore, plan: ViewPlan, keys: readonly EntityKey[]): Promise<Map<EntityKey, string>> {
  const unique = [...new Set(keys)]
  const found = await store.read(unique.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
  return new Map(unique.flatMap((key, i) => (found[i] ? [[key, withoutFrontier(found[i])] as const] : [])))
}

function withoutFrontier(bytes: Buffer): string {
  const { bodyAt } = readHeader(bytes, 'test')
  return bytes.toString('hex', 0, 1) + bytes.toString('hex', bodyAt - 8)
}
