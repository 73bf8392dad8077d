import { pathToFileURL } from 'node:url'
import { isObjectUrl } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'

/** The ETag of a file or an object; null: there is none. */
export async function currentEtag(name: string): Promise<string | null> {
  const url = isObjectUrl(name) ? name : pathToFileURL(name).href
  return (await (await openObjectStore(url)).head(url))?.etag ?? null
}
