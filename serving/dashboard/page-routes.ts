import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { RouteAnswer } from '../protocols/http/call.ts'
import { keptAnswer } from '../protocols/http/call.ts'
import type { Route } from '../protocols/http/route.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
}

/**
 * The files of the browser, as `build/build-ui.ts` makes them. Those in `assets/` have the hash of their content in
 * their names and never change. All other paths are pages, which `index.html` shows.
 *
 * @param folder null: it is not built
 */
export function pageRoutes(folder: () => Promise<string | null>): readonly Route[] {
  const page = { method: 'GET', scope: null, isOwnOrigin: true, isPaced: true, summary: '', tag: '' } as const
  const kept = new Map<string, Promise<RouteAnswer | null>>()

  async function fileIn(inner: 'assets' | '.', name: string, cacheControl: string): Promise<RouteAnswer> {
    const home = await folder()
    if (home === null) throw notBuilt()
    const path = `${inner}/${name}`
    let found = kept.get(path)
    if (found === undefined) kept.set(path, (found = readAnswer(join(home, inner), name, cacheControl)))
    const answer = await found
    if (answer !== null) return answer
    kept.delete(path)
    throw inner === '.' ? notBuilt() : new LockstepError('NOT_FOUND', `The dashboard has no file "${name.slice(0, 200)}"; reload the page.`)
  }

  return [
    {
      ...page,
      path: '/ui/assets/:name',
      handle: ({ params }) => fileIn('assets', params['name'] ?? '', 'public, max-age=31536000, immutable'),
    },
    {
      ...page,
      path: '/ui/api/*',
      handle({ incoming: { url = '' } }) {
        throw new LockstepError('NOT_FOUND', `The dashboard has no "${(url.split('?')[0] ?? '').slice(0, 200)}".`)
      },
    },
    { ...page, path: '/ui', handle: () => ({ status: 308, body: null, headers: { location: '/ui/' } }) },
    { ...page, path: '/ui/*', handle: () => fileIn('.', 'index.html', 'no-store') },
  ]
}

/** A file that lies in the folder itself; null: there is none. */
async function readAnswer(folder: string, name: string, cacheControl: string): Promise<RouteAnswer | null> {
  const names = await readdir(folder).catch((): string[] => [])
  const contentType = types[extname(name)]
  if (!names.includes(name) || contentType === undefined) return null
  const bytes = await readFile(join(folder, name))
  const headers = { 'cache-control': cacheControl }
  if (!/text|json|svg/.test(contentType)) return { status: 200, body: new Uint8Array(bytes), contentType, headers, kept: true }
  return keptAnswer(bytes.toString(), { contentType, headers })
}

function notBuilt(): LockstepError {
  return new LockstepError('NOT_FOUND', 'The pages of the dashboard are not built; "npm run build" builds them.')
}
