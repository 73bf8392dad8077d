import { Alert, Button, Modal, TextInput, Textarea } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { type FormEvent, type ReactElement, type ReactNode, useEffect, useRef, useState } from 'react'
import { messageOf } from '../api/message-of.ts'
import { readAgain } from '../api/query-client.ts'
import { RequestError, change } from '../api/request.ts'
import { type ActScope, useOffersActs } from '../api/session.ts'

interface ActProps {
  /** What the button says. */
  readonly name: string
  /** What the dialog asks: `Pause the rollout of delay`. */
  readonly title: string
  /** What will change, and what the evidence says at this moment. */
  readonly children: ReactNode
  /** Under `/ui/api`. */
  readonly path: string
  readonly body?: Readonly<Record<string, unknown>>
  /** A text that the dialog asks for, as a member of the body. */
  readonly field?: { readonly name: string; readonly label: string; readonly description: string }
  /** The version of what the page shows: a stale page cannot act. */
  readonly ifMatch: string
  readonly scope?: ActScope
  /** A word to type first, of what cannot be undone. */
  readonly confirm?: string
  readonly danger?: boolean
  readonly done: string
}

/**
 * A button that changes something, after a dialog that says what, and asks why. Absent where the session may not, and
 * on pages of a past moment.
 */
export function Act({ scope = 'ui:operate', ...props }: ActProps): ReactElement | null {
  const isOffered = useOffersActs(scope)
  const [opened, open] = useState<Omit<ActProps, 'scope'> | null>(null)
  // the page that is read again after a refusal may not offer the act any more: then nothing is left of its dialog
  const refused = useRef<string | null>(null)
  useEffect(
    () => () => void (refused.current !== null && notifications.show({ message: refused.current, autoClose: false, ...closable })),
    [],
  )
  if (!isOffered) return null
  const { name, title, danger = false } = props
  // where the page now offers another act in this place, the dialog stays what it was
  const shown = opened === null || opened.path === props.path ? props : { ...opened, ifMatch: props.ifMatch }
  const close = (): void => {
    refused.current = null
    open(null)
  }
  return (
    <>
      <Button variant="default" size="compact-sm" data-danger={danger || undefined} onClick={() => open(props)}>
        {name}
        <span className="hidden-text">: {title}</span>
      </Button>
      <Modal opened={opened !== null} onClose={close} title={shown.title} closeButtonProps={{ 'aria-label': 'Close' }}>
        {opened !== null && <ActForm {...shown} close={close} onRefused={(why) => void (refused.current = why)} />}
      </Modal>
    </>
  )
}

const closable = { withCloseButton: true, closeButtonProps: { 'aria-label': 'Close' } } as const

/** Whether an act was refused because what it is about has changed. */
export function isStale(error: unknown): boolean {
  return error instanceof RequestError && [409, 412].includes(error.status)
}

/** What a dialog says of an act that was refused, once the page behind it is read again. */
export function refusalOf(error: unknown): string {
  return isStale(error) ? `${messageOf(error)} The page now shows what it is.` : messageOf(error)
}

/**
 * The version that a dialog acts on. The page behind it is read again, but the reason was given for what the dialog
 * opened with. After a refusal the dialog acts on what the page then showed, and on nothing newer.
 */
export function useSeenVersion(ifMatch: string): { readonly version: string; readonly lookAgain: () => void } {
  const [opening, setOpening] = useState<string | null>(ifMatch)
  useEffect(() => setOpening((before) => before ?? ifMatch), [opening, ifMatch])
  return { version: opening ?? ifMatch, lookAgain: () => setOpening(null) }
}

type ActFormProps = Omit<ActProps, 'scope'> & { readonly close: () => void; readonly onRefused: (why: string) => void }

function ActForm({
  name,
  children,
  path,
  body,
  field,
  ifMatch,
  confirm,
  danger = false,
  done,
  close,
  onRefused,
}: ActFormProps): ReactElement {
  const [reason, setReason] = useState('')
  const [word, setWord] = useState('')
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const seen = useSeenVersion(ifMatch)
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      await change(path, {
        body: { ...body, ...(field === undefined ? {} : { [field.name]: text.trim() }), reason: reason.trim() },
        ifMatch: seen.version,
      })
      await readAgain()
      notifications.show({ message: done, ...closable })
      close()
    } catch (error) {
      if (isStale(error)) {
        onRefused(messageOf(error))
        await readAgain()
        seen.lookAgain()
      }
      setProblem(refusalOf(error))
      setBusy(false)
    }
  }
  return (
    <form onSubmit={(event) => void submit(event)}>
      <div className="act-says">{children}</div>
      {field !== undefined && (
        <TextInput
          mb="sm"
          label={field.label}
          description={field.description}
          required
          autoComplete="off"
          value={text}
          data-autofocus
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      <Textarea
        label="Reason"
        description="It stands in the audit log."
        required
        autosize={false}
        rows={2}
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
        data-autofocus={field === undefined || undefined}
      />
      {confirm !== undefined && (
        <TextInput
          mt="sm"
          label={`Type ${confirm} to confirm`}
          description="This cannot be undone."
          required
          autoComplete="off"
          value={word}
          onChange={(event) => setWord(event.currentTarget.value)}
        />
      )}
      {problem !== null && (
        <Alert mt="sm" data-tone="bad">
          {problem}
        </Alert>
      )}
      <div className="row act-buttons">
        <Button variant="subtle" onClick={close}>
          Cancel
        </Button>
        <Button
          type="submit"
          loading={busy}
          disabled={reason.trim() === '' || (field !== undefined && text.trim() === '') || (confirm !== undefined && word !== confirm)}
          className={danger ? 'danger-button' : undefined}
        >
          {name}
        </Button>
      </div>
    </form>
  )
}
