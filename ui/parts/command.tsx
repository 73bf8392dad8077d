import { Button } from '@mantine/core'
import { useClipboard } from '@mantine/hooks'
import { type ReactElement, useEffect } from 'react'
import { useSession } from '../api/session.ts'
import { announce } from '../shell/announcer.tsx'
import { throughServer } from './through-server.ts'

interface CommandProps {
  readonly text: string
  readonly label?: string
}

/** A command to copy. Beside an embedded database it goes through the server. */
export function Command({ text, label }: CommandProps): ReactElement | null {
  const url = useSession().session?.commandUrl ?? null
  const command = url === null ? { text, needsStop: false } : throughServer(text, url)
  if (command === null) return null
  return (
    <>
      <CopyText text={command.text} {...(label === undefined ? {} : { label })} />
      {command.needsStop && <p className="dim small">This opens the embedded database: stop the server first.</p>}
    </>
  )
}

/** A text of one or more lines to copy. */
export function CopyText({ text, label = 'command' }: CommandProps): ReactElement {
  const { copy, copied, error } = useClipboard({ timeout: 1500 })
  useEffect(() => {
    if (error !== null) announce('The browser does not let the page copy. Select the text instead.')
    else if (copied) announce('Copied')
  }, [copied, error])
  return (
    <div className="command">
      <pre tabIndex={0} aria-label={label}>
        <code>{text}</code>
      </pre>
      <Button variant="subtle" size="compact-xs" onClick={() => copy(text)} aria-label={`Copy the ${label}`}>
        {copied ? 'Copied' : 'Copy'}
      </Button>
    </div>
  )
}
