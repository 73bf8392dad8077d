import { readVersion } from '../../runtime/version.ts'
import { docsPage } from './docs/docs-page.ts'
import type { OpenApi } from './openapi.ts'
import { openApi } from './openapi.ts'
import type { Route } from './route.ts'

/** What describes the routes, to programs and to people; itself as well. */
export function docsRoutes(described: readonly Route[]): readonly Route[] {
  let document: OpenApi | undefined
  let page: ReturnType<typeof docsPage> | undefined
  const made = () => (document ??= openApi([...described, ...own], readVersion()))
  const own: readonly Route[] = [
    {
      method: 'GET',
      path: '/openapi.json',
      scope: null,
      summary: 'This interface as an OpenAPI 3.1 document',
      tag: 'Documentation',
      handle: () => ({ status: 200, body: JSON.stringify(made()) }),
    },
    {
      method: 'GET',
      path: '/docs',
      scope: null,
      summary: 'This interface as a page, which can send requests',
      tag: 'Documentation',
      produces: 'text/html',
      handle() {
        page ??= docsPage(made())
        return {
          status: 200,
          body: page.html,
          contentType: 'text/html; charset=utf-8',
          headers: { 'content-security-policy': page.contentSecurityPolicy },
        }
      },
    },
  ]
  return own
}
