import { Button, PasswordInput } from '@mantine/core'
import { type FormEvent, type ReactElement, type ReactNode, useState, useSyncExternalStore } from 'react'
import { messageOf } from '../api/message-of.ts'
import { connectionStore } from '../api/query-client.ts'
import { RequestError } from '../api/request.ts'
import { useSession, useSigning } from '../api/session.ts'
import { Command } from '../parts/command.tsx'

/** Shows the pages to a session, and the way to get one to everybody else. The address stays as it is. */
export function Gate({ children }: { readonly children: ReactNode }): ReactElement | null {
  const { session, error } = useSession()
  const { signedOut } = useSyncExternalStore(connectionStore.subscribe, connectionStore.get)
  // while a failed read is repeated, its error is gone
  const [failure, setFailure] = useState(error)
  if (error !== null && error !== failure) setFailure(error)
  if (session === undefined) return failure === null ? null : <Unreachable error={failure} />
  if (session === null || signedOut) return <SignIn />
  return <>{children}</>
}

function Unreachable({ error }: { readonly error: Error }): ReactElement {
  const isOfDatabase = error instanceof RequestError && error.isOfDatabase
  const hasAnswered = error instanceof RequestError && !error.isUnreachable
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <img src="/ui/assets/icon.svg" alt="" width="36" height="36" />
        <h1>{hasAnswered ? 'The server answers with an error' : `The ${isOfDatabase ? 'database' : 'server'} does not answer`}</h1>
        <p className="dim">
          {messageOf(error)} {isOfDatabase ? 'Check the database:' : 'Check the process and its log:'}
        </p>
        <Command text="lockstep doctor" />
        <p className="dim small space">The page tries again every few seconds.</p>
        <Button onClick={() => location.reload()}>Try again</Button>
      </div>
    </main>
  )
}

function SignIn(): ReactElement {
  const { signIn } = useSigning()
  const [key, setKey] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      await signIn(key.trim())
    } catch (error) {
      setProblem(messageOf(error))
    }
    setBusy(false)
  }
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <img src="/ui/assets/icon.svg" alt="" width="36" height="36" />
        <h1>Log in to Lockstep</h1>
        <p className="dim">With an API key that has a scope of the dashboard. The browser does not keep the key.</p>
        <form onSubmit={(event) => void submit(event)}>
          <PasswordInput
            mt="md"
            label="API key"
            autoComplete="off"
            required
            value={key}
            error={problem}
            onChange={(event) => setKey(event.currentTarget.value)}
            data-autofocus
          />
          <Button type="submit" fullWidth mt="md" loading={busy} disabled={key.trim() === ''}>
            Log in
          </Button>
        </form>
        <p className="dim small space">On the server’s own machine, print a link that logs you in once:</p>
        <Command text="lockstep ui" />
        <p className="dim small space">Or create a key:</p>
        <Command text="lockstep keys create --name me --scope ui:operate,explain:read" />
      </div>
    </main>
  )
}
