import { Select } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { LineageData } from '../../serving/dashboard/contract/lineage.ts'
import { readEveryMs } from '../api/read-every.ts'
import { kindName } from '../api/use-index.ts'
import { useRead } from '../api/use-read.ts'
import { ChooseDefinition } from '../parts/choose-definition.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { shortId } from '../parts/format.ts'
import { useOwnNames } from '../parts/own-names.ts'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { Drawing } from './lineage-drawing.tsx'

type Node = LineageData['nodes'][number]

const maxDrawn = 200

/** What a thing is made from, and what is made from it: one step each way, and more on demand. */
export default function Lineage(): ReactElement {
  const { focus, from: up = '1', to: down = '1' } = useSearch({ strict: false })
  const navigate = useNavigate()
  const own = useOwnNames()
  const query = new URLSearchParams({ ...(focus === undefined ? {} : { focus }), up, down })
  const lineage = useRead<LineageData>(`lineage?${query}`, { enabled: focus !== undefined, everyMs: readEveryMs.hour })
  const become = (search: { focus?: string; from?: string; to?: string }): void =>
    void navigate({ to: '/lineage', search: (before: object) => ({ ...before, ...search }) as never })
  return (
    <Page title="Lineage" says="What something is made from, and what is made from it.">
      <div className="ask">
        <ChooseDefinition label="Around" value={focus} onChange={(name) => become({ focus: name })} />
        <Depth name="Steps up" value={up} onChange={(value) => become({ from: value })} />
        <Depth name="Steps down" value={down} onChange={(value) => become({ to: value })} />
      </div>
      {focus === undefined ? (
        <Empty
          title="Around what?"
          commands={[`lockstep lineage ${shellText(own.view)}`, `lockstep lineage ${shellText(own.service)} --up`]}
        >
          Choose a definition. Its page has a link to its lineage too.
        </Empty>
      ) : (
        <Loaded of={lineage}>{(data) => <Parts data={data} focus={focus} onFocus={(name) => become({ focus: name })} />}</Loaded>
      )}
    </Page>
  )
}

function Depth({
  name,
  value,
  onChange,
}: {
  readonly name: string
  readonly value: string
  readonly onChange: (value: string) => void
}): ReactElement {
  return (
    <Select
      label={name}
      w={110}
      data={['0', '1', '2', '3', '5']}
      value={value}
      allowDeselect={false}
      onChange={(next) => next !== null && onChange(next)}
    />
  )
}

interface PartsProps {
  readonly data: LineageData
  readonly focus: string
  readonly onFocus: (name: string) => void
}

function Parts({ data, focus, onFocus }: PartsProps): ReactElement {
  const { nodes, edges } = data
  const ways = waysOf.lineage(data.focus ?? focus)
  return (
    <>
      <Panel title={`Around ${focus}`} ways={ways}>
        {nodes.length > maxDrawn ? (
          <p className="dim">These are {nodes.length} things, too many to draw. The table has them all.</p>
        ) : (
          <Drawing nodes={nodes} edges={edges} focus={data.focus} of={focus} onFocus={onFocus} />
        )}
      </Panel>
      <Panel title="The same as a table" flush ways={ways}>
        <DataTable
          label={`Lineage of ${focus}`}
          rows={nodes}
          rowKey={({ key }) => key}
          columns={[
            {
              name: 'Name',
              by: ({ name }) => name,
              cell: ({ kind, name }) => (
                <span className="break">
                  <ThingLink kind={kind} id={name} />
                </span>
              ),
            },
            { name: 'Kind', by: ({ kind }) => kind, cell: ({ kind }) => kindName(kind) },
            {
              name: 'Made from',
              wide: true,
              cell: ({ key }) =>
                namesOf(
                  nodes,
                  edges.filter(({ to }) => to === key).map(({ from }) => from),
                ),
            },
            {
              name: 'Goes into',
              wide: true,
              cell: ({ key }) =>
                namesOf(
                  nodes,
                  edges.filter(({ from }) => from === key).map(({ to }) => to),
                ),
            },
          ]}
        />
      </Panel>
    </>
  )
}

/** So many names stand in a cell: all have a line of their own. */
const maxNamed = 10

function namesOf(nodes: readonly Node[], keys: readonly string[]): string {
  const names = new Map(nodes.map(({ key, name }) => [key, name]))
  const shown = keys.slice(0, maxNamed).map((key) => shortId(names.get(key) ?? key))
  const more = keys.length - shown.length
  return `${shown.join(', ') || '–'}${more === 0 ? '' : ` and ${more} more`}`
}
