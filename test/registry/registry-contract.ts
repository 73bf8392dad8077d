import { describe } from 'vitest'
import { during } from '../opened-database.ts'
import { applyContract } from './apply-contract.ts'
import { auditContract } from './audit-contract.ts'
import { catalogContract } from './catalog-contract.ts'
import { openRegistry } from './databases.ts'
import { modelsContract } from './models-contract.ts'
import { planContract } from './plan-contract.ts'
import { planTablesContract } from './plan-tables-contract.ts'
import { promoteContract } from './promote-contract.ts'
import { signingContract } from './signing-contract.ts'

/** The contract of the registry, on one kind of database. */
export function registryContract(name: string, kind: 'postgres' | 'pglite'): void {
  describe(`the registry on ${name}`, () => {
    const registry = during(() => openRegistry(kind))
    planContract(registry)
    planTablesContract(registry)
    applyContract(registry)
    catalogContract(registry)
    modelsContract(registry)
    promoteContract(registry)
    auditContract(registry)
    signingContract(registry)
  })
}
