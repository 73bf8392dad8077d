import { useSearch } from '@tanstack/react-router'
import { type ReactElement, type ReactNode, useEffect } from 'react'
import { formatMoment, keepUnits } from './format.ts'
import { Teacher } from './teacher.tsx'
import type { Ways } from './ways.ts'

interface PageProps {
  readonly title: string
  /** The kind of the thing, above its name. */
  readonly kind?: string
  readonly state?: ReactNode
  readonly says?: ReactNode
  readonly actions?: ReactNode
  /** Of a page that does not follow `?asOf=`: which moment it shows, in a sentence. */
  readonly ownMoment?: string
  /** How else to get what the page shows outside of its panels. */
  readonly ways?: Ways
  readonly children: ReactNode
}

/** A page with its heading, which is the document's title too. */
export function Page({ title, kind, state, says, actions, ways, ownMoment, children }: PageProps): ReactElement {
  const { asOf } = useSearch({ strict: false })
  useEffect(() => {
    document.title = `${title}${kind === undefined ? '' : ` (${kind})`} · Lockstep`
  }, [title, kind])
  return (
    <>
      <header className="page-head">
        <div className="page-name">
          {kind !== undefined && <p className="page-kind">{kind}</p>}
          <div className="page-title">
            <h1>{title}</h1>
            {state}
          </div>
          {asOf !== undefined && <p className="page-moment">{ownMoment ?? `As of ${formatMoment(asOf)} UTC.`}</p>}
          {says !== undefined && <p className="page-says">{keepUnits(says)}</p>}
        </div>
        {(actions !== undefined || ways !== undefined) && (
          <div className="page-actions">
            {actions}
            {ways !== undefined && <Teacher title={title} ways={ways} />}
          </div>
        )}
      </header>
      <div className="page-parts">{children}</div>
    </>
  )
}
