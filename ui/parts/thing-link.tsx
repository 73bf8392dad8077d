import { Link } from '@tanstack/react-router'
import type { ReactElement, ReactNode } from 'react'
import { keepMoment } from '../shell/navigation.tsx'

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
  receipt: '/receipt/$id',
} as const

/** Pages that show all of a kind. */
const lists = { now: '/', alert: '/alerts', job: '/jobs', key: '/keys', parity: '/parity' } as const

/** The address of a thing's page; of the lineage around it, for what has no page of its own. */
export function addressOf(kind: string, id: string) {
  if (Object.hasOwn(pages, kind)) return { to: pages[kind as keyof typeof pages], params: { id } } as const
  if (Object.hasOwn(lists, kind)) return { to: lists[kind as keyof typeof lists] } as const
  if (kind === 'entity') return { to: '/explain', search: { entity: id } } as const
  return { to: '/lineage', search: { focus: id } } as const
}

interface ThingLinkProps {
  readonly kind: string
  readonly id: string
  readonly children?: ReactNode
}

/** A link to the page of a thing. */
export function ThingLink({ kind, id, children = id }: ThingLinkProps): ReactElement {
  const { search, ...address } = { search: {}, ...addressOf(kind, id) }
  return (
    <Link {...address} search={(before: { asOf?: string }) => ({ ...keepMoment(before), ...search })}>
      {children}
    </Link>
  )
}
