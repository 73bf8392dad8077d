import { afterAll, beforeAll, describe } from 'vitest'
import { applyContract } from './apply-contract.ts'
import { catalogContract } from './catalog-contract.ts'
import type { TestRegistry } from './databases.ts'
import { openRegistry } from './databases.ts'
import { modelsContract } from './models-contract.ts'
import { planContract } from './plan-contract.ts'

describe('the registry on PostgreSQL', () => {
  let registry: TestRegistry
  beforeAll(async () => {
    registry = await openRegistry('postgres')
  })
  afterAll(async () => {
    await registry.close()
  })

  planContract(() => registry)
  applyContract(() => registry)
  catalogContract(() => registry)
  modelsContract(() => registry)
})
