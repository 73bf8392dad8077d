import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortRollout, changeShare, startRollout } from '../../registry/rollouts/change-rollout.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { unitPlace } from '../../statistics/assign.ts'
import type { Started } from './start-server.ts'
import { startServer } from './start-server.ts'

interface LoadedChanges {
  readonly db: Database
  readonly env: NodeJS.ProcessEnv
  readonly key: string
  readonly customers: number
  readonly changes: number
}

interface Answered {
  readonly version?: number
  readonly servedBy?: readonly { readonly version: number; readonly rows: readonly number[] }[]
}

const by = { actor: 'bench' }
const rows = 100
const shares = [0, 0.2, 0.4, 0.6, 0.8, 1]

/** Changes the share of a rollout while two server processes answer, then kills one of them and starts it again. */
export async function changeUnderLoad({ db, env, key, customers, changes }: LoadedChanges) {
  const servers = [await startServer(env), await startServer(env)]
  const { rollout } = await startRollout(db, 'score', { version: 2, share: 0, unit: 'customer' }, by)
  const entities = Array.from({ length: rows }, (_, i) => ({ customer: 1 + ((i * 37) % customers) }))
  const expected = (share: number) => entities.map(({ customer }) => (unitPlace(rollout.salt, String(customer)) < share ? 2 : 1)).join()
  const states = new Set(shares.map(expected))
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  const body = JSON.stringify({ model: 'score', entities })
  const ask = async (url: string): Promise<string | null> => {
    const response = await fetch(`${url}/v1/predict`, { method: 'POST', headers, body })
    const answer = (await response.json()) as Answered
    return response.status === 200 ? versionsOf(answer).join() : null
  }
  const counts = { requests: 0, failed_requests: 0, mixed_requests: 0 }
  let over = false
  const load = async (url: string) => {
    while (!over) {
      const versions = await ask(url).catch(() => null)
      counts.requests++
      if (versions === null) counts.failed_requests++
      else if (!states.has(versions)) counts.mixed_requests++
    }
  }
  const loads = servers.map(({ url }) => load(url))
  for (let i = 1; i <= changes; i++) await changeShare(db, 'score', shares[(i * 5) % shares.length] as number, by)
  over = true
  await Promise.all(loads)

  const [killed, other] = servers as [Started, Started]
  killed.child.kill('SIGKILL')
  await once(killed.child, 'exit')
  await changeShare(db, 'score', 0.4, by)
  const again = await startServer(env)
  const readyAt = performance.now()
  while ((await ask(again.url)) !== expected(0.4)) await sleep(5)
  const restart = (performance.now() - readyAt) / 1000
  await abortRollout(db, 'score', by)
  for (const { child } of [again, other]) {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
  return { changes, ...counts, restart_s: Math.round(restart * 1000) / 1000 }
}

function versionsOf({ version = 0, servedBy = [] }: Answered): number[] {
  const versions = new Array<number>(rows).fill(version)
  for (const group of servedBy) for (const row of group.rows) versions[row] = group.version
  return versions
}
