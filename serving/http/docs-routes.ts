import { readVersion } from '../../runtime/version.ts'
import { docsPage } from './docs/docs-page.ts'
import type { RouteAnswer } from './context.ts'
import { keptAnswer } from './context.ts'
import type { OpenApi } from './openapi.ts'
import { openApi } from './openapi.ts'
import type { Route } from './route.ts'

/** What describes the routes, to programs and to people; itself as well. */
export function docsRoutes(described: readonly Route[]): readonly Route[] {
  let document: OpenApi | undefined
  let json: RouteAnswer | undefined
  let page: RouteAnswer | undefined
  const made = () => (document ??= openApi([...described, ...own], readVersion()))
  const own: readonly Route[] = [
    {
      method: 'GET',
      path: '/openapi.json',
      scope: null,
      isPaced: true,
      summary: 'This interface as an OpenAPI 3.1 document',
      tag: 'Documentation',
      handle: () => (json ??= keptAnswer(JSON.stringify(made()))),
    },
    {
      method: 'GET',
      path: '/docs',
      scope: null,
      isPaced: true,
      summary: 'This interface as a page, which can send requests',
      tag: 'Documentation',
      produces: 'text/html',
      handle() {
        if (page === undefined) {
          const { html, contentSecurityPolicy } = docsPage(made())
          const headers = { 'content-security-policy': contentSecurityPolicy }
          page = keptAnswer(html, { contentType: 'text/html; charset=utf-8', headers })
        }
        return page
      },
    },
  ]
  return own
}
