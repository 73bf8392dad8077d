import { Link, useLocation } from '@tanstack/react-router'
import type { ReactElement, ReactNode } from 'react'
import { keepFilter, keepMoment } from '../shell/navigation.tsx'

/** The pages of things, by kind. */
const pages = {
  source: '/sources/$id',
  view: '/views/$id',
  onDemand: '/views/$id',
  feature: '/features/$id',
  service: '/services/$id',
  model: '/models/$id',
  rollout: '/rollouts/$id',
  experiment: '/experiments/$id',
  pipeline: '/pipelines/$id',
  training: '/trainings/$id',
  receipt: '/receipt/$id',
} as const

/** Pages that show all of a kind. */
const lists = { now: '/', key: '/keys', parity: '/parity' } as const

/** The address of a thing's page; of the lineage around it, for what has no page of its own. */
export function addressOf(kind: string, id: string) {
  if (Object.hasOwn(pages, kind)) return { to: pages[kind as keyof typeof pages], params: { id } } as const
  if (Object.hasOwn(lists, kind)) return { to: lists[kind as keyof typeof lists] } as const
  if (kind === 'job') return { to: '/jobs', search: { job: id } } as const
  if (kind === 'alert') return { to: '/alerts', search: { alert: id } } as const
  // things of different kinds may have one name
  return { to: '/lineage', search: { focus: `${kind}/${id}` } } as const
}

interface ThingLinkProps {
  readonly kind: string
  readonly id: string
  readonly children?: ReactNode
}

/** A link to the page of a thing. */
export function ThingLink({ kind, id, children = id }: ThingLinkProps): ReactElement {
  const { search, ...address } = { search: {}, ...addressOf(kind, id) }
  const { pathname } = useLocation()
  // one of a list leads back to the list as it was
  const keep = address.to === pathname ? keepFilter : keepMoment
  return (
    <Link {...address} search={(before: { asOf?: string }) => ({ ...keep(before), ...search })}>
      {children}
    </Link>
  )
}

interface FeatureLinkProps {
  /** `airport_delays@1`; null: it is an output, or its service is deleted. */
  readonly view: string | null
  /** Its name in a service: `landed1h`, or `origin__landed1h` where the service reads the view under an alias. */
  readonly feature: string
  readonly children?: ReactNode
}

/** A link to the page of a feature, which has the feature's name in its view. No name or alias has two underscores. */
export function FeatureLink({ view, feature, children = feature }: FeatureLinkProps): ReactElement {
  if (view === null) return <>{children}</>
  return (
    <ThingLink kind="feature" id={`${view}.${feature.split('__').at(-1)}`}>
      {children}
    </ThingLink>
  )
}
