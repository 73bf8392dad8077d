import { useDebouncedValue } from '@mantine/hooks'
import { Spotlight, createSpotlight } from '@mantine/spotlight'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactElement, useEffect, useMemo, useState } from 'react'
import { kindName, search, useIndex, useMoreFeatures } from '../api/use-index.ts'
import { addressOf } from '../parts/thing-link.tsx'
import { formatMoment } from '../parts/format.ts'
import { Icon } from './icon.tsx'
import { groups, keepMoment } from './navigation.tsx'
import { parseAnswerId, parseQuestion } from './palette-grammar.ts'

const [store, palette] = createSpotlight()
const maxShown = 30
const places = groups.flatMap((group) => group.places)

const listId = 'found'

/**
 * Selects the first result, which Enter opens. Mantine does so when the text changes, and not when results come after
 * that.
 */
function selectFirst(): void {
  const list = document.getElementById(listId)
  const first = list?.querySelector('[data-action]')
  if (store.getState().query.trim() === '' || !first || list?.querySelector('[data-selected]')) return
  first.setAttribute('data-selected', 'true')
  store.updateState((state) => ({ ...state, selected: 0 }))
}

/** Finds pages and everything that has a name; `airport:ATL @ 2001-03-04T10:00` opens Explain. */
export default function Palette({ openings }: { readonly openings: number }): ReactElement {
  const [text, setText] = useState('')
  const navigate = useNavigate()
  const moment = keepMoment(useSearch({ strict: false }))
  useEffect(() => palette.open(), [openings])
  useEffect(selectFirst)
  const { entries = [] } = useIndex()
  const [asked] = useDebouncedValue(text.trim(), 200)
  const more = useMoreFeatures(asked)
  const known = useMemo(() => (text.trim() === '' ? [] : search(entries, text).slice(0, maxShown)), [entries, text])
  const found = [...known, ...more.filter(({ id }) => known.every((entry) => entry.id !== id))].slice(0, maxShown)
  const pages = useMemo(() => places.filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase())), [text])
  const question = parseQuestion(text)
  const answerId = parseAnswerId(text)
  // a key alone may be one of any entity
  const isFound = found.length > 0 || pages.length > 0
  const keyOf = isFound || answerId !== null || /[\s:]/.test(text.trim()) ? [] : entries.filter(({ kind }) => kind === 'entity').slice(0, 5)
  const questions = question !== null ? [question] : keyOf.map(({ name }) => ({ entity: name, key: text.trim(), asOf: null }))
  const nothing = !isFound && questions.length === 0 && answerId === null
  return (
    <Spotlight.Root
      store={store}
      query={text}
      onQueryChange={setText}
      lockScroll={false}
      shortcut={null}
      transitionProps={{ duration: 0 }}
      overlayProps={{ backgroundOpacity: 0.4 }}
      scrollable
      maxHeight={440}
      size={620}
      title={undefined}
      aria-label="Search everything"
    >
      <Spotlight.Search
        placeholder="A name, a tag, an owner, a request id, or airport:ATL @ 2001-03-04T10:00"
        aria-label="Search everything"
        leftSection={<Icon name="search" />}
      />
      <Spotlight.ActionsList id={listId} aria-label="Found">
        {answerId !== null && (
          <Spotlight.Action
            label={`Receipt of ${answerId}`}
            leftSection={<Icon name="receipt" />}
            onClick={() => void navigate({ to: '/receipt/$id', params: { id: answerId }, search: moment })}
          />
        )}
        {questions.map(({ entity, key, asOf }) => (
          <Spotlight.Action
            key={entity}
            label={`Explain ${entity} ${key}${asOf === null ? ' now' : ` as of ${formatMoment(asOf)} UTC`}`}
            leftSection={<Icon name="explain" />}
            onClick={() =>
              void navigate({
                to: '/explain',
                search: { ...moment, entity: `${entity}:${key}`, ...(asOf === null ? {} : { at: asOf }) },
              })
            }
          />
        ))}
        {pages.length > 0 && (
          <Spotlight.ActionsGroup label="Pages">
            {pages.map(({ name, to, kind, icon }) => (
              <Spotlight.Action
                key={name}
                label={name}
                leftSection={<Icon name={icon} />}
                onClick={() => void navigate({ to, search: { ...moment, ...(kind === undefined ? {} : { kind }) } })}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {found.length > 0 && (
          <Spotlight.ActionsGroup label="Definitions">
            {found.map((entry) => (
              <Spotlight.Action
                key={`${entry.kind} ${entry.id}`}
                label={entry.name}
                description={[kindName(entry.kind), entry.kind === 'feature' ? entry.description : null, entry.about]
                  .filter(Boolean)
                  .join(' · ')}
                onClick={() => {
                  const { search, ...address } = { search: {}, ...addressOf(entry.kind, entry.id) }
                  void navigate({ ...address, search: { ...moment, ...search } })
                }}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {nothing && (
          <Spotlight.Empty>Nothing has this name, tag or owner. Of an entity, write its kind and key: airport:ATL.</Spotlight.Empty>
        )}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  )
}
