import { EmptyState } from '@mantine/core'
import { Link, useParams } from '@tanstack/react-router'
import type { ReactElement, ReactNode } from 'react'
import type { DefinitionData, SourceData } from '../../serving/dashboard/contract/definition.ts'
import { useRead } from '../api/use-read.ts'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { ExplainLink, entityText } from '../parts/explain-link.tsx'
import { DeadLetters } from './dead-letters.tsx'
import { SourceFiles } from './source-files.tsx'
import { keepMoment } from '../shell/navigation.tsx'

export function SourcePage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const source = useRead<SourceData>(`sources/${encodeURIComponent(id)}`)
  const data = source.data?.data
  return (
    <Page title={data?.id ?? id} kind="Source" says={data?.description} actions={<ConnectionLinks kind="source" id={id} />}>
      <Loaded of={source}>
        {(loaded) => (
          <DefinitionParts data={loaded}>
            {loaded.files !== null && <SourceFiles source={loaded.id} files={loaded.files} />}
            {loaded.dead !== null && (
              <DeadLetters
                of="source"
                name={loaded.id}
                dead={loaded.dead}
                says="Messages of its stream that cannot be read as events. Correct the cause, and retry or drop them."
              />
            )}
          </DefinitionParts>
        )}
      </Loaded>
    </Page>
  )
}

export function ServicePage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const service = useRead<DefinitionData>(`services/${encodeURIComponent(id)}`)
  const data = service.data?.data
  return (
    <Page title={data?.id ?? id} kind="Feature service" says={data?.description} actions={<ConnectionLinks kind="service" id={id} />}>
      <Loaded of={service}>{(loaded) => <DefinitionParts data={loaded} />}</Loaded>
    </Page>
  )
}

/** To what it is made from and what is made from it, and to what its removal does. */
export function ConnectionLinks({ kind, id }: { readonly kind: string; readonly id: string }): ReactElement {
  const search = (before: { asOf?: string }) => ({ ...keepMoment(before), focus: `${kind}/${id}` })
  return (
    <>
      <Link to="/lineage" search={search}>
        Lineage
      </Link>
      <Link to="/plan" search={search}>
        What would break
      </Link>
    </>
  )
}

interface DefinitionPartsProps {
  readonly data: DefinitionData
  /** What the readers read, if it is a part of the definition. */
  readonly readOf?: string
  readonly children?: ReactNode
}

/** What all definitions have: facts, parts, readers, versions and code. */
export function DefinitionParts({ data, readOf = data.id, children }: DefinitionPartsProps): ReactElement {
  const { kind, id, owner, tags, facts, parts, readers, versions, code, example } = data
  const ways = waysOf.definition(kind, id)
  return (
    <>
      <Panel title="What it is" ways={ways}>
        <Facts
          of={[
            ...facts.map(
              ({ name, value, link }) =>
                [
                  name,
                  link === null ? (
                    value
                  ) : (
                    <ThingLink key={name} {...link}>
                      {value}
                    </ThingLink>
                  ),
                ] as const,
            ),
            ['Owner', owner],
            ['Tags', tags.length === 0 ? null : tags.join(', ')],
            [
              'Example',
              example === null ? null : (
                <ExplainLink key="example" name={id} entity={example}>
                  Explain {entityText(example)}
                </ExplainLink>
              ),
            ],
          ]}
        />
      </Panel>
      {children}
      {parts.length > 0 && (
        <Panel title={kind === 'source' ? 'Columns' : 'Features'} flush ways={ways}>
          <DataTable
            label={`${kind === 'source' ? 'Columns' : 'Features'} of ${id}`}
            rows={parts}
            rowKey={({ name }) => name}
            columns={[
              {
                name: 'Name',
                by: ({ name }) => name,
                cell: ({ name, link }) => (link === null ? <strong>{name}</strong> : <ThingLink {...link}>{name}</ThingLink>),
              },
              { name: 'Type', by: ({ type }) => type, cell: ({ type }) => <span className="mono">{type}</span> },
              ...(parts.some(({ about }) => about !== '')
                ? [{ name: 'How', wide: true, cell: ({ about }: { readonly about: string }) => about }]
                : []),
            ]}
          />
        </Panel>
      )}
      <div className="grid-2">
        <Panel title="Who reads it" flush ways={waysOf.readers(kind, id)}>
          <DataTable
            label={`What is made from ${readOf}`}
            rows={readers}
            rowKey={({ link }) => `${link.kind} ${link.id}`}
            empty={<EmptyState description="Nothing is made from it." />}
            columns={[
              { name: 'Name', cell: ({ link }) => <ThingLink {...link} /> },
              { name: 'Kind', wide: true, cell: ({ about }) => about },
            ]}
          />
        </Panel>
        {versions.length > 1 && (
          <Panel title="Versions" flush ways={ways}>
            <DataTable
              label={`Versions of ${id}`}
              rows={versions}
              rowKey={(version) => version.id}
              columns={[
                { name: 'Version', cell: (version) => <ThingLink kind={kind} id={version.id} /> },
                { name: 'What', wide: true, cell: ({ about }) => about },
              ]}
            />
          </Panel>
        )}
      </div>
      {code !== null && (
        <Panel title="Code" says="The stored code, which training and serving both run." ways={ways}>
          <pre className="code mono" tabIndex={0} aria-label={`Code of ${id}`}>
            {code}
          </pre>
        </Panel>
      )}
    </>
  )
}
