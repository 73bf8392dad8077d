import { Chip, Group, Pill, TextInput } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type ReactElement, useDeferredValue, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { type Entry, kindName, search, useIndex } from '../api/use-index.ts'
import { formatNumber } from '../parts/format.ts'
import { useOwnNames } from '../parts/own-names.ts'
import { Page } from '../parts/page.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { Icon } from '../shell/icon.tsx'

/** Until a row is measured. */
const rowHeight = 58
const order = [
  'model',
  'service',
  'view',
  'onDemand',
  'feature',
  'source',
  'entity',
  'rollout',
  'experiment',
  'pipeline',
  'outcome',
  'monitor',
  'batch',
  'training',
  'dataset',
  'channel',
]

/** `model_2` before `model_10`. */
const byName = new Intl.Collator('en', { numeric: true })

/** Everything that has a name, in one list. */
export default function Catalog(): ReactElement {
  const { kind } = useSearch({ strict: false })
  const { entries, read } = useIndex()
  return (
    <Page title={kind === undefined ? 'Catalog' : pluralOf(kind)} ways={waysOf.catalog()}>
      <Loaded of={read}>{({ isCut, total }) => <List entries={entries ?? []} cut={isCut ? total : null} />}</Loaded>
    </Page>
  )
}

function List({ entries, cut }: { readonly entries: readonly Entry[]; readonly cut: number | null }): ReactElement {
  const { kind, q = '', asOf } = useSearch({ strict: false })
  const navigate = useNavigate()
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const deferred = useDeferredValue(text)
  const counts = useMemo(() => {
    const all = new Map<string, number>()
    for (const entry of entries) all.set(entry.kind, (all.get(entry.kind) ?? 0) + 1)
    return all
  }, [entries])
  const kinds = [...counts.keys()].toSorted((a, b) => placeOf(a) - placeOf(b))
  const sorted = useMemo(() => entries.toSorted((a, b) => placeOf(a.kind) - placeOf(b.kind) || byName.compare(a.name, b.name)), [entries])
  const found = useMemo(() => {
    const ofKind = kind === undefined ? sorted : sorted.filter((entry) => entry.kind === kind)
    return search(ofKind, deferred)
  }, [sorted, kind, deferred])
  const become = (change: { kind?: string | undefined; q?: string | undefined }): void =>
    void navigate({ to: '/catalog', search: (before: Record<string, unknown>) => ({ ...before, ...change }) as never, replace: true })
  if (entries.length === 0) return asOf === undefined ? <Nothing /> : <Empty title="Nothing was defined then" />
  return (
    <div>
      <div className="catalog-tools">
        <TextInput
          aria-label="Filter by name, tag, owner or description"
          placeholder="Filter by name, tag, owner or description"
          leftSection={<Icon name="search" size={16} />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          onBlur={() => become({ q: text === '' ? undefined : text })}
        />
        <Chip.Group value={kind ?? ''} onChange={(chosen) => become({ kind: chosen === '' ? undefined : chosen })}>
          <Group gap={6} role="radiogroup" aria-label="Kind">
            <Chip name="kind" value="">
              All
            </Chip>
            {kinds.map((each) => (
              <Chip key={each} name="kind" value={each}>
                {pluralOf(each)} <span className="dim">{formatNumber(counts.get(each), 'count')}</span>
              </Chip>
            ))}
          </Group>
        </Chip.Group>
      </div>
      <p className="dim small" role="status">
        {found.length === entries.length ? `${formatNumber(found.length, 'count')} in all` : `${formatNumber(found.length, 'count')} found`}
      </p>
      {cut !== null && (
        <p className="dim small">
          There are {formatNumber(cut, 'count')} features, more than this list has. The search of all pages finds them.
        </p>
      )}
      {found.length === 0 ? <NoneFound kind={kind} text={deferred} /> : <Rows entries={found} />}
    </div>
  )
}

function Rows({ entries }: { readonly entries: readonly Entry[] }): ReactElement {
  const list = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  useLayoutEffect(() => setTop(list.current === null ? 0 : list.current.getBoundingClientRect().top + scrollY), [])
  const virtual = useWindowVirtualizer({
    count: entries.length,
    estimateSize: () => rowHeight,
    getItemKey: (index) => keyOf(entries[index]),
    overscan: 8,
    scrollMargin: top,
  })
  return (
    <div ref={list} className="catalog-list" role="list" aria-label="Definitions" style={{ height: virtual.getTotalSize() }}>
      {virtual.getVirtualItems().map((item) => {
        const entry = entries[item.index]
        if (entry === undefined) return null
        return (
          <div
            key={item.key}
            ref={virtual.measureElement}
            data-index={item.index}
            role="listitem"
            aria-posinset={item.index + 1}
            aria-setsize={entries.length}
            className="catalog-row"
            style={{ transform: `translateY(${item.start - top}px)` }}
          >
            <div className="catalog-name">
              <ThingLink kind={entry.kind} id={entry.id}>
                {entry.name}
              </ThingLink>
              <span className="dim small">{entry.kind === 'feature' ? `Feature of ${entry.description ?? ''}` : kindName(entry.kind)}</span>
            </div>
            <div className="catalog-about">
              <span>{entry.about}</span>
              {entry.kind !== 'feature' && entry.description !== null && <span className="dim small">{entry.description}</span>}
            </div>
            <div className="catalog-tags">
              {entry.owner !== null && <span className="dim small">{entry.owner}</span>}
              {entry.tags.slice(0, 3).map((tag) => (
                <Pill key={tag}>{tag}</Pill>
              ))}
            </div>
          </div>
        )
      })}
    </div>
  )
}

/** What makes the first thing of a kind; without an entry, applying definitions does. */
function commandsFor(kind: string, service: string): readonly string[] {
  switch (kind) {
    case 'model':
      return ['lockstep model push delay delay.onnx', 'lockstep model promote delay@1']
    case 'rollout':
      return ['lockstep model push delay delay.onnx', 'lockstep rollout start delay@2 --plan default']
    case 'experiment':
      return ['lockstep apply features.ts', 'lockstep experiment start late_model']
    case 'dataset':
      return [`lockstep dataset create ${shellText(service)} --spine labels.csv --out training.parquet`, 'lockstep list datasets']
    default:
      return ['lockstep plan features.ts', 'lockstep apply features.ts']
  }
}

function NoneFound({ kind, text }: { readonly kind: string | undefined; readonly text: string }): ReactElement {
  const { service } = useOwnNames()
  if (text.trim() !== '' || kind === undefined)
    return <Empty title="Nothing has these words">Names, kinds, owners, tags and descriptions were searched.</Empty>
  return <Empty title={`There are no ${pluralOf(kind).toLowerCase()} yet`} commands={commandsFor(kind, service)} />
}

function Nothing(): ReactElement {
  return (
    <Empty title="Nothing is defined yet" commands={['lockstep init my-features', 'lockstep apply features.ts']}>
      A project in TypeScript defines entities, sources, views and services. Applying it fills the catalog.
    </Empty>
  )
}

function pluralOf(kind: string): string {
  const name = kindName(kind)
  return name.endsWith('y') ? `${name.slice(0, -1)}ies` : name.endsWith('ch') ? `${name}es` : `${name}s`
}

function keyOf(entry: Entry | undefined): string {
  return entry === undefined ? '' : `${entry.kind} ${entry.id}`
}

function placeOf(kind: string): number {
  const place = order.indexOf(kind)
  return place < 0 ? order.length : place
}
