import { CloseButton, NativeSelect, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactElement, useEffect, useRef, useState } from 'react'
import type { SearchWord } from '../router.tsx'
import { Icon } from '../shell/icon.tsx'

type Words = { readonly [Word in SearchWord]?: string | undefined }

/** Changes words of the address. @param isTyped whether the browser goes back past it, to the list before */
export function useFilter(): (words: Words, isTyped?: boolean) => void {
  const navigate = useNavigate()
  return (words, isTyped = false) =>
    void navigate({ to: '.', search: (before: object) => ({ ...before, ...words }) as never, replace: isTyped })
}

/**
 * A text of the address, and how to change it: what is typed gets there after a moment. It follows the browser's way
 * back.
 */
export function useAddressText(word: SearchWord): readonly [text: string, become: (next: string) => void] {
  const search: Partial<Record<SearchWord, string>> = useSearch({ strict: false })
  const filter = useFilter()
  const asked = search[word] ?? ''
  const [text, setText] = useState(asked)
  const known = useRef(asked)
  useEffect(() => {
    // what it wrote itself may be older than what was typed since
    if (asked !== known.current) setText(asked)
    known.current = asked
  }, [asked])
  const writeSoon = useDebouncedCallback((next: string) => {
    const before = known.current
    known.current = next.trim()
    filter({ [word]: known.current === '' ? undefined : known.current }, before !== '' && known.current !== '')
  }, 250)
  const become = (next: string): void => {
    setText(next)
    writeSoon(next)
  }
  return [text, become]
}

interface FilterTextProps {
  /** The word of the address that has the text. */
  readonly word: SearchWord
  readonly label: string
}

/** A box that filters a list by a text. */
export function FilterText({ word, label }: FilterTextProps): ReactElement {
  const [text, become] = useAddressText(word)
  return (
    <TextInput
      className="list-filter"
      aria-label={label}
      placeholder={label}
      leftSection={<Icon name="search" size={16} />}
      rightSection={text === '' ? null : <CloseButton aria-label="Clear the filter" onClick={() => become('')} />}
      value={text}
      onChange={(event) => become(event.currentTarget.value)}
    />
  )
}

interface FilterChoiceProps {
  readonly word: SearchWord
  readonly label: string
  /** What no choice is called: `All kinds`. */
  readonly all: string
  readonly choices: readonly string[]
}

/** One of several values, which stands in the address. */
export function FilterChoice({ word, label, all, choices }: FilterChoiceProps): ReactElement {
  const search: Partial<Record<SearchWord, string>> = useSearch({ strict: false })
  const filter = useFilter()
  const asked = search[word] ?? ''
  // of an address by hand, too
  const values = asked === '' || choices.includes(asked) ? choices : [...choices, asked]
  return (
    <NativeSelect
      aria-label={label}
      value={asked}
      onChange={(event) => filter({ [word]: event.currentTarget.value === '' ? undefined : event.currentTarget.value })}
      data={[{ value: '', label: all }, ...values]}
    />
  )
}
