import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router'
import { Failure, SkeletonPage } from './parts/states.tsx'
import { Page } from './parts/page.tsx'
import { Layout } from './shell/layout.tsx'
import { lazyPage } from './shell/lazy-page.tsx'

/** What the address says on each page. */
interface Search {
  /** The moment that the page shows; absent for now. */
  readonly asOf?: string | undefined
  /** By what a list is filtered. */
  readonly kind?: string | undefined
  readonly state?: string | undefined
  readonly q?: string | undefined
  readonly who?: string | undefined
  readonly what?: string | undefined
  readonly since?: string | undefined
  /** `with`: the list has reads, too. */
  readonly reads?: string | undefined
  readonly service?: string | undefined
  readonly entity?: string | undefined
  readonly focus?: string | undefined
  readonly at?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  /** The id of a rollout that has ended. */
  readonly rollout?: string | undefined
  /** The id of an alert. */
  readonly alert?: string | undefined
  /** The id of a job. */
  readonly job?: string | undefined
  /** By what figures over time are shown: `hour`; absent: by day. */
  readonly step?: string | undefined
}

const words = [
  'asOf',
  'kind',
  'state',
  'q',
  'who',
  'what',
  'since',
  'reads',
  'service',
  'entity',
  'focus',
  'at',
  'from',
  'to',
  'rollout',
  'alert',
  'job',
  'step',
] as const

/** A word that the address may have. */
export type SearchWord = keyof Search

const rootRoute = createRootRoute({
  component: Layout,
  validateSearch: (search: Record<string, unknown>): Search =>
    Object.fromEntries(words.flatMap((word) => (typeof search[word] === 'string' && search[word] !== '' ? [[word, search[word]]] : []))),
  notFoundComponent: () => (
    <Page title="There is no such page">
      <Failure error={new Error('The address names no page of the dashboard.')} />
    </Page>
  ),
})

const under = { getParentRoute: () => rootRoute } as const

const routeTree = rootRoute.addChildren([
  createRoute({ ...under, path: '/', component: lazyPage(() => import('./pages/now.tsx')) }),
  createRoute({ ...under, path: '/catalog', component: lazyPage(() => import('./pages/catalog.tsx')) }),
  createRoute({ ...under, path: '/sources/$id', component: lazyPage(() => import('./pages/definition.tsx'), 'SourcePage') }),
  createRoute({ ...under, path: '/services/$id', component: lazyPage(() => import('./pages/definition.tsx'), 'ServicePage') }),
  createRoute({ ...under, path: '/views/$id', component: lazyPage(() => import('./pages/view.tsx')) }),
  createRoute({ ...under, path: '/features/$id', component: lazyPage(() => import('./pages/feature.tsx')) }),
  createRoute({ ...under, path: '/models/$id', component: lazyPage(() => import('./pages/model.tsx')) }),
  createRoute({ ...under, path: '/rollouts/$id', component: lazyPage(() => import('./pages/rollout.tsx')) }),
  createRoute({ ...under, path: '/experiments/$id', component: lazyPage(() => import('./pages/experiment.tsx')) }),
  createRoute({ ...under, path: '/trainings', component: lazyPage(() => import('./pages/trainings.tsx')) }),
  createRoute({ ...under, path: '/trainings/$id', component: lazyPage(() => import('./pages/training.tsx')) }),
  createRoute({ ...under, path: '/pipelines', component: lazyPage(() => import('./pages/pipelines.tsx')) }),
  createRoute({ ...under, path: '/pipelines/$id', component: lazyPage(() => import('./pages/pipeline.tsx')) }),
  createRoute({ ...under, path: '/explain', component: lazyPage(() => import('./pages/explain.tsx')) }),
  createRoute({ ...under, path: '/receipt', component: lazyPage(() => import('./pages/receipt.tsx')) }),
  createRoute({ ...under, path: '/receipt/$id', component: lazyPage(() => import('./pages/receipt.tsx')) }),
  // a prediction id has a slash, which people do not encode
  createRoute({ ...under, path: '/receipt/$', component: lazyPage(() => import('./pages/receipt.tsx')) }),
  createRoute({ ...under, path: '/parity', component: lazyPage(() => import('./pages/parity.tsx')) }),
  createRoute({ ...under, path: '/lineage', component: lazyPage(() => import('./pages/lineage.tsx')) }),
  createRoute({ ...under, path: '/plan', component: lazyPage(() => import('./pages/plan.tsx')) }),
  createRoute({ ...under, path: '/jobs', component: lazyPage(() => import('./pages/jobs.tsx')) }),
  createRoute({ ...under, path: '/alerts', component: lazyPage(() => import('./pages/alerts.tsx')) }),
  createRoute({ ...under, path: '/keys', component: lazyPage(() => import('./pages/keys.tsx')) }),
  createRoute({ ...under, path: '/audit', component: lazyPage(() => import('./pages/audit.tsx')) }),
])

export const router = createRouter({
  routeTree,
  basepath: '/ui',
  defaultPreload: 'intent',
  defaultPendingComponent: SkeletonPage,
  defaultErrorComponent: ({ error, reset }) => <Failure error={error} onRetry={reset} />,
  scrollRestoration: false,
  // every value is text, and stands in the address as it is
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch(search) {
    const given = Object.entries(search).filter((pair): pair is [string, string] => typeof pair[1] === 'string')
    const text = new URLSearchParams(given).toString()
    return text === '' ? '' : `?${text}`
  },
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
