import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { storeContract } from './store-contract.ts'

storeContract('embedded', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  return {
    open: async () => openEmbeddedStore(directory),
    empty: () => rm(directory, { recursive: true }),
    address: ['embedded', directory],
    dispose: () => rm(directory, { recursive: true, force: true }),
  }
})
