import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { frontierOf, withTransaction } from '../../kernel/states/frontier.ts'
import { encodeStored, expectedBytes, stateHead, readHeader, soundHeader } from '../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database, Snapshot } from '../../runtime/postgres/database.ts'
import { createRegressionGuard } from '../regression-guard.ts'
import { createArrivals } from '../arrivals.ts'
import { foldStream } from '../fold-stream.ts'
import type { SetAsideEntity } from '../set-aside.ts'
import { noteSetAside } from '../set-aside.ts'
import { createStateWriter } from '../state-writer.ts'

/** The number of entities whose rows are read in one snapshot. */
const keysPerSnapshot = 200

/**
 * Rebuilds the states of some entities from the current rows of their table, and stores them whatever was stored
 * before. An entity without rows gets an empty state. An empty state, unlike none, shows a writer with deleted rows
 * that they are covered, so that it stores nothing.
 *
 * The stored frontier contains a transaction that is open throughout, so no other frontier does. Therefore no writer
 * can take the new state for the one that it read.
 *
 * @returns of the entities that came out empty, the head of the stored state
 * @throws LockstepError `STORE_MISMATCH` where the store knows of transactions that this database has not reached
 */
export async function rebuildStates(
  db: Database,
  store: OnlineStore,
  plan: ViewPlan,
  keys: readonly EntityKey[],
  moment: number,
): Promise<Map<EntityKey, Buffer>> {
  const empty = new Map<EntityKey, Buffer>()
  const guard = createRegressionGuard(db, store, plan)
  for (let left = [...new Set(keys)]; left.length > 0;) {
    const part = left.slice(0, keysPerSnapshot)
    const { refused, emptied, head, xmax, setAside } = await db.snapshot((snapshot) =>
      renewIn(snapshot, store, plan, { keys: part, moment, onStored: guard.note }),
    )
    await guard.check(xmax)
    await noteSetAside(db, store, plan, setAside)
    for (const key of emptied) empty.set(key, head)
    left = [...left.slice(part.length), ...refused]
  }
  return empty
}

interface Renewal {
  readonly keys: readonly EntityKey[]
  readonly moment: number
  readonly onStored: (frontier: Frontier) => void
}

interface Renewed {
  /** Entities whose state another writer wrote meanwhile, or holds rows that the snapshot lacks. */
  readonly refused: readonly EntityKey[]
  /** Entities without rows, and the head of their stored state. */
  readonly emptied: readonly EntityKey[]
  readonly head: Buffer
  readonly xmax: number
  readonly setAside: readonly SetAsideEntity[]
}

async function renewIn(snapshot: Snapshot, store: OnlineStore, plan: ViewPlan, { keys, moment, onStored }: Renewal): Promise<Renewed> {
  const [own] = await snapshot.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid')
  const bounds = snapshot.bounds
  const seen: Frontier = frontierOf(bounds)
  const rows = withTransaction(seen, Number(own?.xid))
  const read = (some: readonly EntityKey[]) => store.read(some.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
  const writer = createStateWriter(store, plan)
  const met = new Set<EntityKey>()
  const newer: EntityKey[] = []
  const noting: typeof writer = {
    ...writer,
    add(folded) {
      met.add(folded.key)
      return writer.add(folded)
    },
  }
  const onNewer = (key: EntityKey): void => {
    met.add(key)
    newer.push(key)
  }
  const arrivals = createArrivals({ snapshot, plan, seen, xmax: bounds.xmax })
  const target = {
    plan,
    read,
    writer: noting,
    moment,
    rows,
    start: 'renew',
    maxRanges: Number.POSITIVE_INFINITY,
    onStored,
    onNewer,
  } as const
  await foldStream(target, arrivals({ below: 0, beyond: [] }, keys))
  const rowless = keys.filter((key) => !met.has(key))
  const stored = await read(rowless)
  const bytes = encodeStored(plan.newState(), rows)
  const head = stateHead(bytes, readHeader(bytes, plan.id))
  for (const [i, key] of rowless.entries()) {
    const present = stored[i] ?? null
    await writer.add({ key, expected: present === null ? null : expectedBytes(present, soundHeader(present, plan.id)), bytes, rows: 0 })
  }
  const refused = await writer.drain()
  return {
    refused: [...newer, ...refused],
    emptied: rowless.filter((key) => !refused.includes(key)),
    head,
    xmax: bounds.xmax,
    setAside: writer.stored.setAside,
  }
}
