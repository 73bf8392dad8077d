import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { expect, it, vi } from 'vitest'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { noBytes } from '../../online/store.ts'
import { incrementElsewhere } from './increment.ts'
import { stored, storedCount } from './stored-bytes.ts'
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
})

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

const key = { view: 'lock@1', entity: 'thing', key: 'a' } as const

it('writes in order after another process, and does not block this one meanwhile', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  const store = openEmbeddedStore(directory)
  const other = new DatabaseSync(join(directory, 'states.sqlite'))
  other.exec('BEGIN IMMEDIATE')
  const [a, b, c] = [stored(1, 'a'), stored(2, 'b'), stored(3, 'c')]
  const [first, second] = [store.write([{ ...key, expected: null, bytes: a }]), store.write([{ ...key, expected: a, bytes: b }])]
  expect(await store.read([key])).toEqual([null])
  // this line would not be reached before SQLite's own time limit
  other.exec('COMMIT')
  const third = store.write([{ ...key, expected: b, bytes: c }])
  expect(await Promise.all([first, second, third])).toEqual([[true], [true], [true]])
  expect(await store.read([key])).toEqual([c])
  other.close()
  await store.close()
  await rm(directory, { recursive: true })
})

it('ends a write as busy if another process writes for too long, and goes on afterwards', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  const store = openEmbeddedStore(directory)
  const other = new DatabaseSync(join(directory, 'states.sqlite'))
  other.exec('BEGIN IMMEDIATE')
  const began = performance.now()
  const now = vi.spyOn(performance, 'now').mockReturnValueOnce(began - 31_000)
  const write = { ...key, expected: null, bytes: stored(1, 'a') }
  await expect(store.write([write])).rejects.toMatchObject({
    code: 'BUSY',
    message: `Another process has been writing to the online store in "${directory}" for 30 s. Try again when it has finished.`,
  })
  now.mockRestore()
  other.close()
  expect(await store.write([write])).toEqual([true])
  await store.close()
  await rm(directory, { recursive: true })
})

it('names a file of another program, and leaves it as it is', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  const file = join(directory, 'states.sqlite')
  const other = new DatabaseSync(file)
  other.exec("CREATE TABLE states (name TEXT, code TEXT); INSERT INTO states VALUES ('Ohio', 'OH')")
  expect(() => openEmbeddedStore(directory)).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: `The file "${file}" is not an online store of Lockstep: its table "states" has the columns "name", "code". Move the file, or set LOCKSTEP_DIR to another folder.`,
    }),
  )
  expect(other.prepare('SELECT code FROM states').all()).toEqual([{ code: 'OH' }])
  other.close()
  await rm(directory, { recursive: true })
})

it('leaves nothing of a removed or replaced state in its files', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-online-'))
  const [store, other] = [openEmbeddedStore(directory), openEmbeddedStore(directory)]
  const keys = Array.from({ length: 200 }, (_, i) => ({ ...key, key: `person ${i}.` }))
  const first = stored(1, 'first of a person '.repeat(20))
  const second = stored(2, 'second of a person '.repeat(2))
  await store.write(keys.map((each) => ({ ...each, expected: null, bytes: first })))
  await store.write(keys.map((each) => ({ ...each, expected: first, bytes: second })))
  const contents = async (): Promise<string[]> => {
    const files = await Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name), 'latin1')))
    return ['first of a person', 'second of a person', 'person 7.', 'person 8.'].filter((text) => files.some((file) => file.includes(text)))
  }
  expect(await contents()).toHaveLength(4)
  await store.write(keys.filter((_, i) => i !== 8).map((each) => ({ ...each, expected: second, bytes: noBytes })))
  expect(await contents()).toEqual(['second of a person', 'person 8.'])
  await store.removeView('lock@1')
  expect(await contents()).toEqual([])
  await Promise.all([store.close(), other.close()])
  await rm(directory, { recursive: true })
})
