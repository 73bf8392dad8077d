import { Checkbox, TextInput } from '@mantine/core'
import { useSearch } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import type { AuditData } from '../../serving/dashboard/contract/audit.ts'
import { useRead } from '../api/use-read.ts'
import { DataTable } from '../parts/data-table.tsx'
import { useAddressText, useFilter } from '../parts/filters.tsx'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Pages } from '../parts/pages.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { waysOf } from '../parts/ways.ts'

/** Who changed what, and why. */
export default function Audit(): ReactElement {
  const { who = '', what = '', since = '', reads } = useSearch({ strict: false })
  const [typedWho, setWho] = useAddressText('who')
  const [typedWhat, setWhat] = useAddressText('what')
  const [typedSince, setSince] = useAddressText('since')
  const filter = useFilter()
  const withReads = reads === 'with'
  const given = Object.entries({ who, what, since, reads: withReads ? '' : 'without' }).filter(([, value]) => value !== '')
  const asked = `audit?${new URLSearchParams(given)}`
  // a place is one of the list that was asked for
  const [place, setPlace] = useState({ asked, cursor: null as string | null })
  const cursor = place.asked === asked ? place.cursor : null
  const audit = useRead<AuditData>(cursor === null ? asked : `${asked}&cursor=${cursor}`)
  return (
    <Page title="Audit" says="Who changed what, and why. Nothing here can be changed.">
      <div className="ask">
        <TextInput label="Who" placeholder="A key, or a user" value={typedWho} onChange={(event) => setWho(event.currentTarget.value)} />
        <TextInput
          label="What"
          placeholder="An action, or a thing"
          value={typedWhat}
          onChange={(event) => setWhat(event.currentTarget.value)}
        />
        <TextInput label="Since (UTC)" type="date" value={typedSince} onChange={(event) => setSince(event.currentTarget.value)} />
        <Checkbox
          label="Also who saw values of entities"
          checked={withReads}
          onChange={(event) => filter({ reads: event.currentTarget.checked ? 'with' : undefined })}
        />
      </div>
      <Loaded of={audit}>
        {({ records, cursor: next }) => (
          <Panel title="Newest first" flush ways={waysOf.audit()}>
            <DataTable
              label="Changes, newest first"
              rows={records}
              rowKey={({ id }) => id}
              empty={
                <Empty title="No change is recorded" commands={['lockstep apply features.ts', 'lockstep audit']}>
                  {who === '' && what === '' && since === ''
                    ? 'Every change of the registry, of models and of keys is.'
                    : `Try other words, or an earlier day.${withReads ? '' : ' Who saw values is left out.'}`}
                </Empty>
              }
              columns={[
                { name: 'When', cell: ({ at }) => <Moment at={at} /> },
                { name: 'Who', cell: (record) => record.who, by: (record) => record.who },
                { name: 'What', cell: (record) => <strong>{record.what}</strong>, by: (record) => record.what },
                { name: 'Subject', cell: ({ subject }) => <span className="break">{subject}</span>, by: ({ subject }) => subject },
                {
                  name: 'Reason and change',
                  wide: true,
                  cell: ({ reason, before, after }) => (
                    <>
                      {reason ?? <span className="dim">no reason given</span>}
                      {(before !== null || after !== null) && (
                        <details>
                          <summary>Before and after</summary>
                          <pre className="mono diff">{`- ${before ?? 'nothing'}\n+ ${after ?? 'nothing'}`}</pre>
                        </details>
                      )}
                    </>
                  ),
                },
              ]}
            />
            <Pages first={cursor === null} next={next} show={(to) => setPlace({ asked, cursor: to })} what="changes" />
          </Panel>
        )}
      </Loaded>
    </Page>
  )
}
