import type { Catalog } from '../../../../registry/catalog.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import { readVersion } from '../../../../runtime/version.ts'
import { memoizeWeak } from '../../../../kernel/memoize-weak.ts'
import { keyInHeaders } from '../../../traffic/key-ring.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call } from '../call.ts'
import { keptAnswer } from '../call.ts'
import { docsPage } from './docs-page.ts'
import type { Examples } from './examples.ts'
import { examplesOf, noExamples } from './examples.ts'
import type { OpenApi } from './openapi.ts'
import { openApi } from './openapi.ts'
import { requireLocalHost } from '../../../traffic/loopback.ts'
import type { Route } from '../route.ts'

/** How long a registry's examples are kept: rows that have come since may make better ones. */
const keptMs = 60_000

/** The routes that describe all routes, themselves included, to programs and to people. */
export function docsRoutes(described: readonly Route[]): readonly Route[] {
  const routes = (): readonly Route[] => [...described, ...own]
  let general: OpenApi | undefined
  let last: { readonly catalog: Catalog; readonly madeAt: number; readonly document: Promise<OpenApi> } | undefined
  const jsonOf = memoizeWeak((document: OpenApi) => keptAnswer(JSON.stringify(document)))
  const pageOf = memoizeWeak(async (document: OpenApi) => {
    const { html, contentSecurityPolicy } = await docsPage(document)
    return keptAnswer(html, { contentType: 'text/html; charset=utf-8', headers: { 'content-security-policy': contentSecurityPolicy } })
  })

  async function documentFor(call: Call, deps: ServingContext): Promise<OpenApi> {
    const catalog = registryFor(call, deps)
    if (catalog === null) return (general ??= openApi(routes(), readVersion()))
    if (last?.catalog === catalog && performance.now() - last.madeAt < keptMs) return await last.document
    const document = storedExamples(deps, catalog).then((examples) => openApi(routes(), readVersion(), examples))
    last = { catalog, madeAt: performance.now(), document }
    return await document
  }

  const own: readonly Route[] = [
    {
      method: 'GET',
      path: '/openapi.json',
      scope: null,
      isPaced: true,
      summary: 'This interface as an OpenAPI 3.1 document',
      tag: 'Documentation',
      handle: async (call, deps) => jsonOf(await documentFor(call, deps)),
    },
    {
      method: 'GET',
      path: '/docs',
      scope: null,
      isPaced: true,
      summary: 'This interface as a page, which can send requests',
      tag: 'Documentation',
      produces: 'text/html',
      handle: async (call, deps) => await pageOf(await documentFor(call, deps)),
    },
  ]
  return own
}

/** Without the database there are no examples. */
async function storedExamples(deps: ServingContext, catalog: Catalog): Promise<Examples> {
  try {
    return await examplesOf({ features: deps, db: deps.upkeep.database(), catalog })
  } catch (error) {
    if (error instanceof LockstepError) return noExamples
    throw error
  }
}

/**
 * Examples name what the registry has: where the server has keys, they are for those who may read it. null: the
 * document is that of any server.
 */
function registryFor({ incoming }: Call, deps: ServingContext): Catalog | null {
  try {
    const { keys } = deps.traffic
    if (keys.authorize(keyInHeaders(incoming.headers), 'read') === null && keys.unprotected) requireLocalHost(incoming.headers.host)
    return deps.catalog()
  } catch (error) {
    if (error instanceof LockstepError) return null
    throw error
  }
}
