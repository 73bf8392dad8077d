import { EmptyState } from '@mantine/core'
import type { ReactElement } from 'react'
import type { DeadLettersData, PipelineData } from '../../serving/dashboard/contract/pipelines.ts'
import { useSession } from '../api/session.ts'
import { useRead } from '../api/use-read.ts'
import { DataTable } from '../parts/data-table.tsx'
import { formatNumber } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { Panel } from '../parts/panel.tsx'
import { Loaded } from '../parts/states.tsx'
import { waysOf } from '../parts/ways.ts'

interface DeadLettersProps {
  readonly of: 'source' | 'pipeline'
  readonly name: string
  readonly dead: PipelineData['dead']
  /** What they are, and what to do. */
  readonly says: string
}

/** Messages that a source or a pipeline can do nothing with: by reason, and the newest ones. */
export function DeadLetters({ of, name, dead, says }: DeadLettersProps): ReactElement {
  return (
    <>
      <Panel title="Dead letters" flush says={says} ways={waysOf.deadLetters(of, name)}>
        <DataTable
          label={`Dead letters of ${name} by reason`}
          rows={dead}
          rowKey={({ reason }) => reason}
          empty={<EmptyState description="No message became a dead letter." />}
          columns={[
            { name: 'Reason', wide: true, by: ({ reason }) => reason, cell: ({ reason }) => <span className="mono">{reason}</span> },
            { name: 'Messages', numeric: true, by: ({ count }) => count, cell: ({ count }) => formatNumber(count, 'count') },
            { name: 'Last', by: ({ lastAt }) => lastAt, cell: ({ lastAt }) => <Moment at={lastAt} /> },
          ]}
        />
      </Panel>
      {dead.length > 0 && <Letters of={of} name={name} />}
    </>
  )
}

/** Errors quote values of messages, which may be personal data. */
function Letters({ of, name }: Pick<DeadLettersProps, 'of' | 'name'>): ReactElement | null {
  const may = useSession().session?.scopes.includes('explain:read') ?? false
  const letters = useRead<DeadLettersData>(`${of}s/${encodeURIComponent(name)}/dead-letters`, { enabled: may })
  if (!may) return null
  return (
    <Panel title="Newest dead letters" flush ways={waysOf.deadLetters(of, name)}>
      <Loaded of={letters} inPanel>
        {(loaded) => (
          <DataTable
            label={`Newest dead letters of ${name}`}
            rows={loaded.letters}
            rowKey={({ id }) => id}
            pageSize={10}
            columns={[
              { name: 'When', by: ({ at }) => at, cell: ({ at }) => <Moment at={at} /> },
              {
                name: 'Error',
                wide: true,
                cell: ({ error, message }) => (
                  <>
                    <span className="break">{error}</span>
                    <div className="dim small">
                      Message <span className="mono break">{message}</span>
                    </div>
                  </>
                ),
              },
              { name: 'Size', numeric: true, by: ({ bytes }) => bytes, cell: ({ bytes }) => formatNumber(bytes, 'bytes') },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  )
}
