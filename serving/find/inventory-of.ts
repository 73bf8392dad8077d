import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { DefinitionScope } from '../../registry/definition.ts'
import type { Inventory } from '../../registry/find/inventory.ts'
import { createInventoryReader } from '../../registry/find/inventory.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ServingContext } from '../context.ts'

const readersOf = memoizeWeak((db: Database) => ({ current: createInventoryReader(db, 'current'), all: createInventoryReader(db, 'all') }))

/** All that can be found by name. It is read again once it has changed. */
export async function inventoryOf(deps: Pick<ServingContext, 'upkeep'>, scope: DefinitionScope): Promise<Inventory> {
  return await readersOf(deps.upkeep.database())[scope]()
}
