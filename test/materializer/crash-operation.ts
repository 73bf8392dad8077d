import { formatTimestamp } from '../../kernel/values/time.ts'
import { appendEvents } from '../../materializer/events/append-events.ts'
import { backfills, beginBackfill } from '../../materializer/backfills/backfill.ts'
import { eraseEntity } from '../../materializer/erase/erase-entity.ts'
import { finishErasures } from '../../materializer/erase/finish-erasures.ts'
import { createEventReader } from '../../materializer/events/event-reader.ts'
import { readEventTable } from '../../materializer/events/event-table.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { beginSourceSync, sourceSyncs } from '../../materializer/sources/sync-source.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'

export const crashMoment = 992_000_000_000_000
const hour = 3_600_000_000

/** Forty events of four accounts, as they are pushed. */
export function crashEvents(name: string): Record<string, unknown>[] {
  return Array.from({ length: 40 }, (_, i) => ({
    _event_id: `${name} ${i}`,
    account: ['a', 'b', 'c', 'd'][i % 4],
    shop: i % 3,
    at: formatTimestamp(crashMoment - hour - (i % 11) * (hour / 30)),
    amount: i / 8,
  }))
}

export const operations = ['push', 'incremental', 'backfill', 'rebuild', 'erase'] as const
/** `sync` loads the files of the source `lake`, where there is one. `replace` also replaces those that changed. */
export type Operation = (typeof operations)[number] | 'sync' | 'replace'

/** The operation in which a process is killed. Run again, it does the remaining work. */
export async function operate(operation: Operation, db: Database, store: OnlineStore, catalog: Catalog): Promise<void> {
  const plans = [...catalog.views.values()]
  switch (operation) {
    case 'push': {
      const table = await readEventTable(db, catalog.source('orders'))
      const read = createEventReader(table, { futureMicros: 0 })
      const events = crashEvents('pushed').map((event, i) => read(event, i, Date.now() * 1000))
      const { xid } = await appendEvents(db, table, events, { to: 'both' })
      if (xid !== null) await foldTransactions(db, store, plans, [xid], { moment: crashMoment })
      break
    }
    case 'erase': {
      const { entity } = catalog.view('of_account').spec
      await eraseEntity(db, catalog, entity, ['a'], new Date())
      await finishErasures(db, store, catalog, { waitMs: 60_000, moment: crashMoment })
      break
    }
    case 'backfill': {
      const tools = { db, store, worker: 'crash' }
      const now = (): number => crashMoment
      const kinds = [backfills(tools, (view) => Promise.resolve(catalog.view(view)), { now })]
      for (const plan of plans) {
        const { id } = await beginBackfill(tools, plan, { now, chunks: 2, leaseSeconds: 1 })
        await awaitJob(db, id, { signal: AbortSignal.timeout(60_000), work: { kinds, worker: 'crash' } })
      }
      break
    }
    case 'sync':
    case 'replace': {
      const tools = { db, store, catalog: () => Promise.resolve(catalog) }
      const replace = operation === 'replace' ? 'changed' : 'none'
      const { id } = await beginSourceSync(tools, 'lake', { replace, by: { actor: 'crash' }, worker: 'crash', leaseSeconds: 1 })
      await awaitJob(db, id, { signal: AbortSignal.timeout(60_000), work: { kinds: [sourceSyncs(tools)], worker: 'crash' } })
      break
    }
    case 'incremental':
    case 'rebuild':
      for (const plan of plans) await materializeView(db, store, plan, { moment: crashMoment, rebuild: operation === 'rebuild' })
      break
    default:
      operation satisfies never
  }
}
