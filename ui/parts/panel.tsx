import { type ReactElement, type ReactNode, useId } from 'react'
import { keepUnits } from './format.ts'
import { Teacher } from './teacher.tsx'
import type { Ways } from './ways.ts'

interface PanelProps {
  readonly title: string
  readonly children: ReactNode
  /** A sentence under the title. */
  readonly says?: ReactNode
  /** How else to get what the panel shows. */
  readonly ways: Ways
  readonly actions?: ReactNode
  readonly flush?: boolean
}

/** A part of a page, which offers itself as a command, curl, TypeScript and SQL. */
export function Panel({ title, children, says, ways, actions, flush = false }: PanelProps): ReactElement {
  const id = useId()
  return (
    <section className="panel" aria-labelledby={id}>
      <header className="panel-head">
        <div>
          <h2 id={id}>{title}</h2>
          {says !== undefined && <p className="panel-says">{keepUnits(says)}</p>}
        </div>
        <div className="panel-actions">
          {actions}
          <Teacher title={title} ways={ways} />
        </div>
      </header>
      <div className={flush ? 'panel-flush' : 'panel-body'}>{children}</div>
    </section>
  )
}
