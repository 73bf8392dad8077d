import { Button, Select, TextInput } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type FormEvent, Fragment, type ReactElement, useMemo, useRef, useState } from 'react'
import type { ExplainData, ExplainStart } from '../../serving/dashboard/contract/explain.ts'
import { kindName, useIndex } from '../api/use-index.ts'
import { useRead } from '../api/use-read.ts'
import { DataTable } from '../parts/data-table.tsx'
import { ExplainLink } from '../parts/explain-link.tsx'
import { Moment } from '../parts/moment.tsx'
import { useOwnNames } from '../parts/own-names.ts'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ShortText } from '../parts/short-text.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { ExplainTime } from './explain-time.tsx'

/** Why an entity has its values: the rows that count at each moment, and those that do not yet. */
export default function Explain(): ReactElement {
  const { service, entity, from, to, asOf, at: addressed = asOf } = useSearch({ strict: false })
  // the moment that the page itself put into the address asks for nothing new
  const own = useRef<string | undefined>(undefined)
  const [at, setAt] = useState(addressed)
  if (addressed !== at && addressed !== own.current) {
    own.current = undefined
    setAt(addressed)
  }
  const asked = entity !== undefined
  const query = new URLSearchParams(
    Object.entries({ service, entity, from, to, at }).filter((pair): pair is [string, string] => pair[1] !== undefined),
  )
  const explain = useRead<ExplainData>(`explain?${query}`, { enabled: asked, everyMs: false, asOf: false })
  return (
    <Page
      title="Explain"
      says="Which rows made a value, and when each became known. Move the moment and rows enter and leave."
      ownMoment="It shows what is known now of the moment that you choose below."
    >
      <Ask key={`${service ?? ''} ${entity ?? ''} ${at ?? ''}`} />
      {asked ? (
        <Loaded of={explain}>
          {(data) => (
            <ExplainTime
              key={`${data.name} ${data.entity} ${data.from} ${data.to}`}
              data={data}
              onKeep={(moment) => (own.current = moment)}
            />
          )}
        </Loaded>
      ) : (
        <Start />
      )}
    </Page>
  )
}

function Ask(): ReactElement {
  const { service, entity, at, asOf } = useSearch({ strict: false })
  const navigate = useNavigate()
  const { entries = [] } = useIndex()
  const names = useMemo(
    () => [...new Set(entries.filter(({ kind }) => kind === 'service' || kind === 'view').map(({ id }) => id))],
    [entries],
  )
  const [name, setName] = useState(service ?? null)
  const [key, setKey] = useState(entity ?? '')
  const [moment, setMoment] = useState(at ?? asOf ?? '')
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (key.trim() === '') return
    const search = { entity: key.trim(), service: name ?? undefined, at: moment.trim() === '' ? undefined : moment.trim(), asOf }
    void navigate({ to: '/explain', search })
  }
  const options = name === null || names.includes(name) ? names : [name, ...names]
  return (
    <form className="ask" onSubmit={submit}>
      <Select
        label="Service or view"
        searchable
        limit={50}
        allowDeselect={false}
        data={[{ value: '', label: 'Any view of the entity' }, ...options.map((value) => ({ value, label: value }))]}
        value={name ?? ''}
        onChange={(chosen) => setName(chosen === '' ? null : chosen)}
      />
      <TextInput
        label="Entity"
        placeholder='airport:ATL or {"airport": "ATL"}'
        required
        value={key}
        onChange={(event) => setKey(event.currentTarget.value)}
        autoComplete="off"
      />
      <TextInput
        label="Moment (UTC)"
        placeholder="That of the newest row"
        value={moment}
        onChange={(event) => setMoment(event.currentTarget.value)}
        autoComplete="off"
      />
      <Button type="submit">Explain</Button>
    </form>
  )
}

function Start(): ReactElement {
  const start = useRead<ExplainStart>('explain/start', { everyMs: false })
  const own = useOwnNames()
  return (
    <Loaded of={start}>
      {({ names, recent }) => (
        <>
          {recent.length > 0 && (
            <Panel title="Recent predictions" flush ways={waysOf.predictions()}>
              <DataTable
                label="Recent predictions, newest first"
                rows={recent}
                rowKey={({ predictionId }) => predictionId}
                columns={[
                  { name: 'When', cell: ({ at }) => <Moment at={at} /> },
                  { name: 'Model', cell: ({ model }) => <ThingLink kind="model" id={model} /> },
                  { name: 'Entity', wide: true, cell: ({ entity }) => <span className="mono break">{entity}</span> },
                  {
                    name: 'Answer',
                    cell: ({ outputs }) => (
                      <span className="three-lines break">
                        {Object.entries(outputs).map(([name, value], i) => (
                          <Fragment key={name}>
                            {i > 0 && ', '}
                            <span className="dim">{name}</span> <ShortText text={value} />
                          </Fragment>
                        ))}
                      </span>
                    ),
                  },
                  { name: 'Explain', cell: ({ service, entity, asOf }) => <ExplainLink name={service} entity={entity} at={asOf} /> },
                  {
                    name: 'Receipt',
                    cell: ({ predictionId }) => (
                      <ThingLink kind="receipt" id={predictionId}>
                        Receipt
                      </ThingLink>
                    ),
                  },
                ]}
              />
            </Panel>
          )}
          {names.some(({ example }) => example !== null) && (
            <Panel title="Or begin with an example" flush ways={waysOf.explainable()}>
              <DataTable
                label="Services and views with an example"
                rows={names.filter(({ example }) => example !== null)}
                rowKey={({ name }) => name}
                columns={[
                  { name: 'Name', by: ({ name }) => name, cell: ({ name, kind }) => <ThingLink kind={kind} id={name} /> },
                  { name: 'Kind', cell: ({ kind }) => kindName(kind) },
                  { name: 'Entity', wide: true, cell: ({ example }) => <span className="mono break">{example}</span> },
                  { name: 'Explain', cell: ({ name, example }) => <ExplainLink name={name} entity={example ?? ''} /> },
                ]}
              />
            </Panel>
          )}
          {recent.length === 0 && names.every(({ example }) => example === null) && (
            <Empty
              title="Nothing can be explained yet"
              commands={[`lockstep ingest ${shellText(own.source)} rows.parquet`, explainCommand(names)]}
            >
              Load rows of a source. Each value of an entity is explained from them.
            </Empty>
          )}
        </>
      )}
    </Loaded>
  )
}

/** A command for the first view, or for the example's, whose entity is to be filled in. */
function explainCommand(names: ExplainStart['names']): string {
  const { name, keys } = names.find(({ kind }) => kind === 'view') ?? { name: 'airport_delays', keys: ['airport'] }
  const entity = JSON.stringify(Object.fromEntries(keys.map((key) => [key, 'KEY'])))
  return `lockstep explain ${shellText(name)} --entity ${shellText(entity)}`
}
