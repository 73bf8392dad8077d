import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { increment } from './increment.ts'

// A separate process that increments two keys of one store: `TIMES embedded DIRECTORY` or `TIMES redis URL PREFIX`.
const [times, kind, where = '', prefix = ''] = process.argv.slice(2)
const store =
  kind === 'embedded' ? openEmbeddedStore(where) : await openOnlineStore({ redisUrl: where, redisPrefix: prefix, directory: '/nowhere' })
const keys = ['a', 'b'].map((key) => ({ view: 'increment@1', entity: 'thing', key }) as const)
await Promise.all(keys.map((key) => increment(store, key, Number(times))))
await store.close()
