import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { accountKey, asRow, columnsTie, foldAll, type Payment } from './payments.ts'

export interface PaymentsTable {
  readonly name: string
  /** Inserts rows in one transaction; their `_row` follows the order of all calls. */
  insert(payments: readonly Payment[]): Promise<void>
  /** The SQL of such an insert, for callers with a session of their own. */
  insertSql(payments: readonly Payment[]): string
  /**
   * The expected states of the view after folding all rows that were inserted through `insert`, or those that pass
   * `only`.
   */
  expected(plan: ViewPlan, moment: number, how?: ExpectedOptions): Map<EntityKey, string>
  keys(plan: ViewPlan): EntityKey[]
}

export interface ExpectedOptions {
  readonly only?: (payment: Payment) => boolean
  /**
   * Whether ties are broken as in a table of Lockstep's (by `_row`) or in a user's (by the columns). Default: as the
   * table was made.
   */
  readonly ties?: 'owned' | 'plain'
}

/** A table as Lockstep creates it (`owned`), or as a user does. */
export async function createPaymentsTable(db: Database, name: string, kind: 'owned' | 'plain' = 'owned'): Promise<PaymentsTable> {
  const identity = kind === 'owned' ? ', _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id()' : ''
  await db.script(
    `create table ${name} (account text, paid_at timestamptz not null, known_at timestamptz, amount float8, label text${identity})`,
  )
  const inserted: Payment[] = []
  const insertSql = (payments: readonly Payment[]): string =>
    `insert into ${name} (account, paid_at, known_at, amount, label) values ${payments.map((payment) => `(${literals(payment).join(', ')})`).join(', ')}`
  return {
    name,
    insertSql,
    async insert(payments) {
      if (payments.length === 0) return
      await db.query(insertSql(payments))
      inserted.push(...payments)
    },
    expected: (plan, moment, { only = () => true, ties = kind } = {}) =>
      foldAll(
        plan,
        inserted.flatMap((payment, i) => (only(payment) ? [asRow(plan, payment, ties === 'owned' ? i + 1 : columnsTie(payment), 0)] : [])),
        moment,
      ),
    keys: (plan) => inserted.map(({ account }) => accountKey(plan, account)),
  }
}

function literals({ account, paidAt, knownAt, amount, label }: Payment): string[] {
  const text = (value: string | null): string => (value === null ? 'null' : `'${value.replaceAll("'", "''")}'`)
  const known = knownAt === Number.POSITIVE_INFINITY ? 'infinity' : knownAt === null ? null : formatTimestamp(knownAt)
  return [text(account), text(formatTimestamp(paidAt)), text(known), text(amount === null ? null : String(amount)), text(label)].map(
    (literal, i) => `${literal}${['', '::timestamptz', '::timestamptz', '::float8', ''][i]}`,
  )
}
