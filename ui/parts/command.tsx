import { type ReactElement, useEffect, useRef, useState } from 'react'
import { announce } from '../shell/announcer.tsx'

/** A command or a text of several lines to copy. */
export function Command({ text, label = 'command' }: { readonly text: string; readonly label?: string }): ReactElement {
  const [copied, setCopied] = useState(false)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      announce('The browser does not let the page copy. Select the text instead.')
      return
    }
    setCopied(true)
    announce('Copied')
    timer.current = setTimeout(() => setCopied(false), 1500)
  }
  return (
    <div className="command">
      <pre tabIndex={0} aria-label={label}>
        <code>{text}</code>
      </pre>
      <button type="button" onClick={() => void copy()} aria-label={`Copy the ${label}`}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  )
}
