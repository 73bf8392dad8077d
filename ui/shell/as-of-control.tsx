import { Button, Popover, TextInput } from '@mantine/core'
import { useClipboard } from '@mantine/hooks'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type FormEvent, type ReactElement, useEffect, useState } from 'react'
import { formatMoment } from '../parts/format.ts'
import { announce } from './announcer.tsx'
import { Icon } from './icon.tsx'
import { parseMoment } from './parse-moment.ts'

/** Moments that people ask for most, by how many milliseconds ago they are. */
const agos = [
  ['1 h ago', 3_600_000],
  ['1 d ago', 86_400_000],
] as const

function agoOf(ms: number): string {
  return new Date(Date.now() - ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** Chooses the moment that the whole dashboard shows. It stands in the address. */
export function AsOfControl(): ReactElement {
  const { asOf } = useSearch({ strict: false })
  const navigate = useNavigate()
  const [opened, setOpened] = useState(false)
  const [text, setText] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const show = (moment: string | undefined): void => {
    setOpened(false)
    void navigate({ to: '.', search: (before: Record<string, unknown>) => ({ ...before, asOf: moment }) as never })
  }
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    const moment = parseMoment(text)
    if (moment === null) setProblem('Write a moment like 2001-03-04T10:00, in UTC.')
    else show(moment)
  }
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      position="bottom-end"
      width={340}
      trapFocus
      returnFocus
      shadow="md"
      transitionProps={{ duration: 0 }}
    >
      <Popover.Target>
        <Button
          variant={asOf === undefined ? 'subtle' : 'light'}
          size="compact-sm"
          leftSection={<Icon name="clock" size={16} />}
          onClick={() => {
            setText(asOf ?? '')
            setProblem(null)
            setOpened(!opened)
          }}
        >
          {asOf === undefined ? 'Now' : formatMoment(asOf)}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="The moment that the pages show">
        <form onSubmit={submit}>
          <TextInput
            label="Show everything as of (UTC)"
            placeholder="2001-03-04T10:00"
            value={text}
            error={problem}
            onChange={(event) => setText(event.currentTarget.value)}
          />
          <div className="row space">
            <Button type="submit" size="compact-md">
              Show
            </Button>
            {agos.map(([label, ms]) => (
              <Button key={label} size="compact-md" variant="default" onClick={() => show(agoOf(ms))}>
                {label}
              </Button>
            ))}
            {asOf !== undefined && (
              <Button size="compact-md" variant="subtle" onClick={() => show(undefined)}>
                Back to now
              </Button>
            )}
          </div>
        </form>
        <CopyLink />
      </Popover.Dropdown>
    </Popover>
  )
}

/** Copies the address of the page as it is now: who opens it later sees the figures of this moment. */
function CopyLink(): ReactElement {
  const { copy, copied, error } = useClipboard({ timeout: 1500 })
  useEffect(() => {
    if (copied) announce('Copied')
  }, [copied])
  const onClick = (): void => {
    const link = new URL(location.href)
    if (!link.searchParams.has('asOf')) link.searchParams.set('asOf', agoOf(0))
    copy(link.href)
  }
  return (
    <div className="copy-link">
      <Button size="compact-md" variant="subtle" onClick={onClick}>
        {copied ? 'Copied' : 'Copy a link to this moment'}
      </Button>
      {error !== null && (
        <p className="bad-text small" role="alert">
          The browser does not let the page copy, as without HTTPS. Choose a moment, and copy the address.
        </p>
      )}
    </div>
  )
}
