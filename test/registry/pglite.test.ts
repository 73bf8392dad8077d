import { registryContract } from './registry-contract.ts'

registryContract('PGlite', 'pglite')
