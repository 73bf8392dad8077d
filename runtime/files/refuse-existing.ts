import { isStoredObject } from '../storage/object-store.ts'
import { openObjectStore } from '../storage/open-store.ts'
import { alreadyThere, exists } from './place-files.ts'

/** @throws LockstepError `FILE_EXISTS` naming the first file or object that exists */
export async function refuseExisting(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const found = isStoredObject(name) ? (await (await openObjectStore(name)).head(name)) !== null : await exists(name)
    if (found) throw await alreadyThere(name)
  }
}
