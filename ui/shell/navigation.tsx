import { Link, useLocation } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { Icon, type IconName } from './icon.tsx'

interface Place {
  readonly to:
    | '/'
    | '/catalog'
    | '/lineage'
    | '/trainings'
    | '/pipelines'
    | '/plan'
    | '/explain'
    | '/receipt'
    | '/parity'
    | '/jobs'
    | '/alerts'
    | '/keys'
    | '/audit'
  readonly kind?: string
  readonly name: string
  readonly icon: IconName
}

/** All pages that need no name of a thing. */
export const groups: readonly { readonly title: string; readonly places: readonly Place[] }[] = [
  {
    title: 'Overview',
    places: [
      { to: '/', name: 'Now', icon: 'now' },
      { to: '/alerts', name: 'Alerts', icon: 'alerts' },
      { to: '/jobs', name: 'Jobs', icon: 'jobs' },
    ],
  },
  {
    title: 'Definitions',
    places: [
      { to: '/catalog', name: 'Catalog', icon: 'catalog' },
      { to: '/lineage', name: 'Lineage', icon: 'lineage' },
      { to: '/plan', name: 'What would break', icon: 'warn' },
    ],
  },
  {
    title: 'Models',
    places: [
      { to: '/catalog', kind: 'model', name: 'Models', icon: 'model' },
      { to: '/catalog', kind: 'rollout', name: 'Rollouts', icon: 'rollout' },
      { to: '/catalog', kind: 'experiment', name: 'Experiments', icon: 'experiment' },
      { to: '/trainings', name: 'Trainings', icon: 'training' },
      { to: '/pipelines', name: 'Pipelines', icon: 'pipeline' },
    ],
  },
  {
    title: 'Why',
    places: [
      { to: '/explain', name: 'Explain', icon: 'explain' },
      { to: '/receipt', name: 'Receipt', icon: 'receipt' },
      { to: '/parity', name: 'Parity', icon: 'parity' },
    ],
  },
  {
    title: 'Administration',
    places: [
      { to: '/keys', name: 'Keys', icon: 'keys' },
      { to: '/audit', name: 'Audit', icon: 'audit' },
    ],
  },
]

/** The links to all pages. The moment of `?asOf=` goes along. */
export function Navigation({ onChoose }: { readonly onChoose?: () => void }): ReactElement {
  const { pathname } = useLocation()
  return (
    <>
      <Link className="brand" to="/" search={keepMoment} {...(onChoose === undefined ? {} : { onClick: onChoose })}>
        <img src="/ui/assets/icon.svg" alt="" />
        Lockstep
      </Link>
      {groups.map(({ title, places }) => (
        <div key={title} role="group" aria-label={title}>
          <p className="nav-group" aria-hidden="true">
            {title}
          </p>
          <ul className="nav-list">
            {places.map(({ to, kind, name, icon }) => (
              <li key={name}>
                <Link
                  className="nav-link"
                  to={to}
                  search={(before: Kept) => ({
                    ...(pathname === to ? keepFilter(before) : keepMoment(before)),
                    ...(to === '/catalog' ? { kind } : {}),
                  })}
                  activeOptions={{ exact: to === '/' || to === '/catalog', includeSearch: to === '/catalog', explicitUndefined: true }}
                  {...(onChoose === undefined ? {} : { onClick: onChoose })}
                >
                  <Icon name={icon} />
                  {name}
                </Link>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </>
  )
}

const filterWords = ['kind', 'state', 'q', 'who', 'what', 'since', 'reads'] as const

type Kept = { readonly [Word in 'asOf' | (typeof filterWords)[number]]?: string | undefined }

/** What of the search goes along from a list to one of its things and back: the moment, and the filter of the list. */
export function keepFilter(before: Kept): { readonly [Word in keyof Kept]?: string } {
  const kept = filterWords.flatMap((word) => (before[word] === undefined ? [] : [[word, before[word]]]))
  return { ...keepMoment(before), ...Object.fromEntries(kept) }
}

/** What of the search goes along to another page. */
export function keepMoment({ asOf }: { readonly asOf?: string | undefined }): { asOf?: string } {
  return asOf === undefined ? {} : { asOf }
}
