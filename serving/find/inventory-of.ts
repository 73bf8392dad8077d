import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { Inventory } from '../../registry/find/inventory.ts'
import { createInventoryReader } from '../../registry/find/inventory.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ServingContext } from '../context.ts'

const readerOf = memoizeWeak((db: Database) => createInventoryReader(db))

/** All that can be found by name. It is read again once it has changed. */
export async function inventoryOf(deps: Pick<ServingContext, 'upkeep'>): Promise<Inventory> {
  return await readerOf(deps.upkeep.database())()
}
