// A writer that runs until it is killed, or stopped by any message: `DATABASE_URL REDIS_URL STREAM_URL ROLE NAME SEED`.
// It reports the accepted events to its parent.
import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../../../kernel/errors.ts'
import { appendEvents } from '../../../materializer/events/append-events.ts'
import { createEventReader } from '../../../materializer/events/event-reader.ts'
import { readEventTable } from '../../../materializer/events/event-table.ts'
import { foldTransactions } from '../../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../../materializer/runs/materialize.ts'
import { rebuildRange } from '../../../materializer/backfills/rebuild-range.ts'
import { consumeStreams } from '../../../materializer/streams/consume-streams.ts'
import { keyRanges } from '../../../offline/key-ranges.ts'
import { readCheckpoint } from '../../../online/checkpoint.ts'
import { openOnlineStore } from '../../../online/open-store.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { fireEvents, seeded } from './fire-events.ts'

/** The work that it waits for, reported if it does not end. */
let doing = 'start'
process.on('SIGUSR2', () => process.stderr.write(`doing: ${doing}; waiting for: ${process.getActiveResourcesInfo().join(', ')}\n`))

const [url = '', redisUrl = '', streamRedisUrl = '', role = '', name = '', seed = ''] = process.argv.slice(2)
const db = openPostgres(url)
const store = await openOnlineStore({ redisUrl, redisPrefix: 'fire', redisReads: 'primary', directory: '/nowhere' })
const catalog = await loadCatalog(db)
const plans = [...catalog.views.values()]
const random = seeded(Number(seed))
let over = false
const stop = new AbortController()
process.once('message', () => {
  over = true
  stop.abort()
})

/** A store that has lost a node is tried again; what was committed meanwhile is for the runs. */
async function unlessAway(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof LockstepError && ['REDIS_UNAVAILABLE', 'STORE_MISMATCH', 'NOT_READY'].includes(error.code))) throw error
  }
}

const work: Readonly<Record<string, () => Promise<void>>> = {
  async push() {
    const batch = nextEvents(8)
    doing = 'append events'
    const { xid } = await appendEvents(
      db,
      table,
      batch.map((event, i) => read(event, i, Date.now() * 1000)),
      { to: 'both' },
    )
    process.send?.({ accepted: batch.map(({ _event_id: id }) => id) })
    doing = 'fold a transaction'
    if (xid !== null) await unlessAway(() => foldTransactions(db, store, plans, [xid]))
    doing = 'pause'
    await setTimeout(random() * 30)
  },
  async stream() {
    const config = { streamRedisUrl, natsUrl: null, kafkaUrl: null, bodyLimitBytes: 1024 ** 2, futureMicros: 60_000_000 }
    const metrics = { messages: () => undefined, lag: () => undefined, failure: () => undefined, overCap: () => undefined }
    const tools = {
      db,
      store,
      config,
      metrics,
      log: createLogger('silent'),
      clock: () => Date.now() * 1000,
      catalog: () => Promise.resolve(catalog),
    }
    await consumeStreams(tools, { signal: stop.signal, redeliverMs: 1_000 })
  },
  async incremental() {
    for (const plan of plans) await unlessAway(() => materializeView(db, store, plan))
    await setTimeout(random() * 100)
  },
  async backfill() {
    const plan = plans[Math.floor(random() * plans.length)] ?? plans[0]
    if (plan === undefined) return
    await unlessAway(async () => {
      const checkpoint = await readCheckpoint(store, plan.id)
      const ranges = await keyRanges(db, plan, 8)
      const range = ranges[Math.floor(random() * ranges.length)]
      if (checkpoint !== null && range !== undefined)
        await rebuildRange(db, store, plan, { checkpoint, range, events: null, moment: Date.now() * 1000 })
    })
    await setTimeout(random() * 100)
  },
}

const table = await readEventTable(db, catalog.source('orders'))
const read = createEventReader(table, { futureMicros: 0 })
const nextEvents = fireEvents(name, random)
process.send?.({ accepted: [] })
doing = 'work'
while (!over) await work[role]?.()
doing = 'close the store'
await store.close()
doing = 'close the database'
await db.close()
doing = 'end'
process.disconnect()
