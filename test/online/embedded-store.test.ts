import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { incrementElsewhere } from './increment.ts'
import { storedCount } from './stored-bytes.ts'
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

it('loses no increment while other processes create, open and close the store', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  const address = ['embedded', directory]
  const often = Array.from({ length: 3 }, () => incrementElsewhere(address, 2, 100))
  await Promise.all([incrementElsewhere(address, 200), ...often])
  const store = openEmbeddedStore(directory)
  const counts = await store.read(['a', 'b'].map((key) => ({ view: 'increment@1', entity: 'thing', key })))
  expect(counts.map((bytes) => bytes && storedCount(bytes))).toEqual([800, 800])
  await store.close()
  await rm(directory, { recursive: true })
}, 60_000)

it('waits for another handle that writes to the file while it is created', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  const writer = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
    const db = new (require('node:sqlite').DatabaseSync)(workerData)
    db.exec('CREATE TABLE other (a); BEGIN IMMEDIATE')
    parentPort.postMessage('writes')
    setTimeout(() => db.close(), 200)`,
    { eval: true, workerData: join(directory, 'states.sqlite') },
  )
  await once(writer, 'message')
  await openEmbeddedStore(directory).close()
  await once(writer, 'exit')
  await rm(directory, { recursive: true })
})
