import { registryContract } from './registry-contract.ts'

registryContract('PostgreSQL', 'postgres')
