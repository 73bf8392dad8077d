import { useRouterState } from '@tanstack/react-router'
import { type ReactElement, useEffect, useRef, useState } from 'react'

let say: (text: string) => void = () => undefined

/** Has screen readers say a text, when they are done with what they say now. */
export function announce(text: string): void {
  say(text)
}

/** Says announcements; after a change of page, says its title and moves the focus to its heading. */
export function Announcer(): ReactElement {
  const [text, setText] = useState('')
  const path = useRouterState({ select: ({ resolvedLocation, location }) => (resolvedLocation ?? location).pathname })
  const last = useRef<string | null>(null)
  useEffect(() => {
    say = setText
    return () => {
      say = () => undefined
    }
  }, [])
  useEffect(() => {
    // the first page keeps the browser's own focus
    if (last.current !== null && last.current !== path) {
      // a dialog that was opened while the page loaded keeps the focus
      if (document.querySelector('[role="dialog"]:focus-within') === null)
        document.querySelector<HTMLElement>('#main')?.focus({ preventScroll: true })
      scrollTo(0, 0)
      setText(document.title)
    }
    last.current = path
  }, [path])
  return (
    <div role="status" aria-live="polite" className="hidden-text">
      {text}
    </div>
  )
}
