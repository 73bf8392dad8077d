import type { ServicePlan } from '../kernel/service-plan.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { compileDefinitions } from './compile-definitions.ts'
import type { Definition, DefinitionKey } from './definition.ts'
import { definitionsReached, references } from './definition.ts'
import { requireSigned } from './signatures.ts'
import { createTransformGuard, offlineGuard } from './transform-guard.ts'
import { storedCode, verifiedCode } from './verified-code.ts'

/**
 * Those of these feature services that the registry remembers and that compile, retired ones included: for what was
 * made by one that is no longer served. Over the years most definitions are retired, so only what these services are
 * made from is read.
 */
export async function storedServices(
  { kysely, signing }: Pick<Database, 'kysely' | 'signing'>,
  services: readonly DefinitionId[],
): Promise<ReadonlyMap<DefinitionId, ServicePlan>> {
  return await kysely
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (transaction) => {
      const definitions = await definitionsReached(
        transaction,
        services.map((id) => `service ${id}` as const),
        neededBy,
      )
      requireSigned(signing, definitions)
      return compileDefinitions(
        definitions,
        verifiedCode(await storedCode(transaction, definitions)),
        createTransformGuard(offlineGuard).load,
      ).services
    })
}

/** A view carries its source within it, except the cursor that the source has now. */
function neededBy(definition: Definition): DefinitionKey[] {
  return [...references(definition), ...(definition.kind === 'view' ? [`source ${definition.spec.source.name}` as const] : [])]
}
