import { type ReactElement, type ReactNode, useEffect } from 'react'

interface PageProps {
  readonly title: string
  /** The kind of the thing, above its name. */
  readonly kind?: string
  readonly state?: ReactNode
  readonly says?: ReactNode
  readonly actions?: ReactNode
  readonly children: ReactNode
}

/** A page with its heading, which is the document's title too. */
export function Page({ title, kind, state, says, actions, children }: PageProps): ReactElement {
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
          {says !== undefined && <p className="page-says">{says}</p>}
        </div>
        {actions !== undefined && <div className="page-actions">{actions}</div>}
      </header>
      <div className="page-parts">{children}</div>
    </>
  )
}
