import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { increment } from './increment.ts'

// A separate process that increments two keys of one store. It opens the store OPENINGS times, and increments both keys
// TIMES times each time: `OPENINGS TIMES embedded DIRECTORY` or `OPENINGS TIMES redis URL PREFIX`.
const [openings, times, kind, where = '', prefix = ''] = process.argv.slice(2)
const keys = ['a', 'b'].map((key) => ({ view: 'increment@1', entity: 'thing', key }) as const)
for (let opening = 0; opening < Number(openings); opening++) {
  const store =
    kind === 'embedded' ? openEmbeddedStore(where) : await openOnlineStore({ redisUrl: where, redisPrefix: prefix, directory: '/nowhere' })
  await Promise.all(keys.map((key) => increment(store, key, Number(times))))
  await store.close()
}
