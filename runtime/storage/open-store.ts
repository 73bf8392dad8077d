import { LockstepError } from '../../kernel/errors.ts'
import type { ObjectStore } from './object-store.ts'

const stores = new Map<string, Promise<ObjectStore>>()

/**
 * The store of a URL. The process has one for each protocol. Its code, and the packages that it needs, load with the
 * first URL of that protocol.
 *
 * @throws LockstepError `USAGE` for a protocol that is not known
 */
export function openObjectStore(url: string): Promise<ObjectStore> {
  const protocol = url.slice(0, url.indexOf('://') + 1)
  let store = stores.get(protocol)
  if (store === undefined) {
    store = open(protocol, url)
    stores.set(protocol, store)
    store.catch(() => stores.delete(protocol))
  }
  return store
}

async function open(protocol: string, url: string): Promise<ObjectStore> {
  switch (protocol) {
    case 's3:':
      return (await import('./s3-store.ts')).createS3Store()
    case 'gs:':
      return (await import('./gcs-store.ts')).createGcsStore()
    case 'file:':
      return (await import('./folder-store.ts')).createFolderStore()
    default:
      throw new LockstepError('USAGE', `"${url}" is at no storage that can be used. Use s3://, gs://, file:// or a path.`, {
        details: { url },
      })
  }
}
