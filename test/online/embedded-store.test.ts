import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
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

it('names the folder that it cannot use', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  await writeFile(join(directory, 'taken'), 'a file')
  const within = join(directory, 'taken', 'online')
  expect(() => openEmbeddedStore(within)).toThrow(`The folder "${within}" cannot be created`)
  await rm(directory, { recursive: true })
})
