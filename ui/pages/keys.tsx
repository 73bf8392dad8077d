import { Alert, Button, Checkbox, Modal, Pill, TextInput } from '@mantine/core'
import { type FormEvent, type ReactElement, useState } from 'react'
import type { KeysData, NewKey } from '../../serving/dashboard/contract/keys.ts'
import { readAgain } from '../api/query-client.ts'
import { change } from '../api/request.ts'
import { useOffersActs } from '../api/session.ts'
import { useRead } from '../api/use-read.ts'
import { Act, isStale, refusalOf, useSeenVersion } from '../parts/act.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { CopyText } from '../parts/command.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Pages } from '../parts/pages.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { waysOf } from '../parts/ways.ts'

/** API keys, and what each may do. */
export default function Keys(): ReactElement {
  const [cursor, setCursor] = useState<string | null>(null)
  const keys = useRead<KeysData>(cursor === null ? 'keys' : `keys?cursor=${encodeURIComponent(cursor)}`)
  return (
    <Page
      title="Keys"
      says="API keys and their scopes. A key that is revoked ends its sessions at once."
      actions={keys.data === undefined ? undefined : <NewKeyButton of={keys.data.data} />}
    >
      <Loaded of={keys}>
        {(data) => (
          <Panel title="All keys" flush ways={waysOf.keys()}>
            <DataTable
              label="API keys"
              rows={data.keys}
              rowKey={({ id }) => id}
              empty={
                <Empty
                  title="There are no keys"
                  commands={['lockstep keys create --name ml-team --scope read', 'lockstep keys create --name me --scope ui:operate']}
                >
                  Without keys, a server answers its own machine only.
                </Empty>
              }
              columns={[
                {
                  name: 'Key',
                  by: ({ name }) => name,
                  cell: ({ id, name }) => (
                    <>
                      <strong className="break">{name}</strong>
                      <div className="dim mono">{id}</div>
                    </>
                  ),
                },
                {
                  name: 'Scopes',
                  wide: true,
                  cell: ({ scopes }) => (
                    <Pill.Group>
                      {scopes.map((scope) => (
                        <Pill key={scope}>{scope}</Pill>
                      ))}
                    </Pill.Group>
                  ),
                },
                { name: 'Created', by: ({ createdAt }) => createdAt, cell: ({ createdAt }) => <Moment at={createdAt} /> },
                { name: 'Last used', by: ({ lastUsedAt }) => lastUsedAt, cell: ({ lastUsedAt }) => <Moment at={lastUsedAt} /> },
                {
                  name: 'State',
                  cell: ({ revokedAt, expiresAt }) =>
                    revokedAt !== null ? (
                      <StateBadge state="revoked" />
                    ) : expiresAt !== null ? (
                      <span>
                        until <Moment at={expiresAt} exact />
                      </span>
                    ) : (
                      <StateBadge state="active" />
                    ),
                },
                {
                  name: 'Act',
                  acts: 'ui:admin',
                  cell: ({ id, name, revokedAt, revision }) =>
                    revokedAt === null ? (
                      <Act
                        name="Revoke"
                        title={`Revoke key ${name}`}
                        path={`keys/${encodeURIComponent(id)}/revoke`}
                        ifMatch={revision}
                        scope="ui:admin"
                        confirm={name}
                        danger
                        done="The key is revoked."
                      >
                        <p>Requests with this key are refused from now on, and its sessions of the dashboard end.</p>
                      </Act>
                    ) : null,
                },
              ]}
            />
            <Pages first={cursor === null} next={data.cursor} show={setCursor} what="keys" />
          </Panel>
        )}
      </Loaded>
    </Page>
  )
}

function NewKeyButton({ of }: { readonly of: KeysData }): ReactElement | null {
  const isOffered = useOffersActs('ui:admin')
  const [opened, setOpened] = useState(false)
  if (!isOffered) return null
  return (
    <>
      <Button variant="default" size="compact-sm" onClick={() => setOpened(true)}>
        Create a key
      </Button>
      <Modal opened={opened} onClose={() => setOpened(false)} title="Create a key" closeButtonProps={{ 'aria-label': 'Close' }}>
        {opened && <NewKeyForm of={of} />}
      </Modal>
    </>
  )
}

function NewKeyForm({ of: { scopes, revision } }: { readonly of: KeysData }): ReactElement {
  const seen = useSeenVersion(revision)
  const [name, setName] = useState('')
  const [chosen, setChosen] = useState<string[]>([])
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const [secret, setSecret] = useState<string | null>(null)
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    try {
      const answer = await change<NewKey>('keys', {
        body: { name: name.trim(), scopes: chosen, reason: reason.trim() },
        ifMatch: seen.version,
      })
      if (answer?.data.secret) setSecret(answer.data.secret)
      else setProblem('The key was created the first time, and its secret is shown only once. Revoke it, and create another one.')
      await readAgain()
    } catch (error) {
      if (isStale(error)) {
        await readAgain()
        seen.lookAgain()
      }
      setProblem(refusalOf(error))
    }
  }
  if (secret !== null)
    return (
      <div role="status">
        <p>The key, which is never shown again:</p>
        <CopyText text={secret} label="key" />
      </div>
    )
  return (
    <form onSubmit={(event) => void submit(event)}>
      <TextInput label="Name" required value={name} onChange={(event) => setName(event.currentTarget.value)} data-autofocus />
      <Checkbox.Group label="Scopes" required mt="sm" value={chosen} onChange={setChosen}>
        <div className="scopes">
          {scopes.map((scope) => (
            <Checkbox key={scope} value={scope} label={scope} />
          ))}
        </div>
      </Checkbox.Group>
      <TextInput
        label="Reason"
        description="It stands in the audit log."
        mt="sm"
        required
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
      {problem !== null && (
        <Alert mt="sm" data-tone="bad">
          {problem}
        </Alert>
      )}
      <div className="row act-buttons">
        <Button type="submit" disabled={name.trim() === '' || chosen.length === 0 || reason.trim() === ''}>
          Create
        </Button>
      </div>
    </form>
  )
}
