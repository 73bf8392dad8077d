import type { ServicePlan } from '../kernel/service-plan.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { compileDefinitions } from './compile-definitions.ts'
import { storedDefinitions } from './definition.ts'
import { requireSigned } from './signatures.ts'
import { createTransformGuard, offlineGuard } from './transform-guard.ts'
import { storedCode, verifiedCode } from './verified-code.ts'

/**
 * Every feature service that the registry remembers and that compiles, retired ones included: for what was made by one
 * that is no longer served.
 */
export async function storedServices({
  kysely,
  signing,
}: Pick<Database, 'kysely' | 'signing'>): Promise<ReadonlyMap<DefinitionId, ServicePlan>> {
  return await kysely
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (transaction) => {
      const definitions = await storedDefinitions(transaction)
      requireSigned(signing, definitions)
      return compileDefinitions(
        definitions,
        verifiedCode(await storedCode(transaction, definitions)),
        createTransformGuard(offlineGuard).load,
      ).services
    })
}
