import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { channel } from '../../../registry/define/channel.ts'
import { monitor } from '../../../registry/define/monitor.ts'
import type { ChannelSpec } from '../../../registry/monitor-spec.ts'
import type { CheckResult } from '../../../monitoring/alerts/check-kind.ts'
import type { ActiveMonitor } from '../../../monitoring/alerts/default-monitors.ts'
import type { CheckedResults } from '../../../monitoring/alerts/evaluate-monitor.ts'
import type { StepContext } from '../../../runtime/jobs/job-kind.ts'

export const minute = 60_000_000

/** A monitor of the clock that notifies the channel "hook", and what differs from that. */
export function clockMonitor(name: string, differing: Partial<ActiveMonitor> = {}): ActiveMonitor {
  const { spec } = monitor(name, {
    checks: [{ kind: 'clock' }],
    every: '1m',
    clearAfter: 1,
    severity: 'page',
    runbook: 'https://wiki.example/clock',
  })
  return { ...spec, notify: ['hook'], description: 'Clocks agree.', isDefault: false, ...differing }
}

const secrets: Readonly<Record<string, string>> = { HOOK_SECRET: 'a secret', PAGER_KEY: 'R0UT1NG' }
export const readSecret = (name: string): string | null => secrets[name] ?? null

/** The channel "hook" at a receiver. */
export function hookAt(url: string): Map<string, ChannelSpec> {
  return new Map([['hook', channel('hook', { kind: 'webhook', url, secret: { env: 'HOOK_SECRET' } }).spec]])
}

export function checked(...results: readonly CheckResult[]): CheckedResults[] {
  return [{ kind: 'clock', results, error: null }]
}

export function result(state: CheckResult['state'], subject = 'clock', value = 3): CheckResult {
  const cause = state === 'breach' ? 'The clock is wrong.' : null
  return { subject, state, value, threshold: 2, n: 3, evidence: { host: 'a' }, cause }
}

/** The context of a step that is held to its end. */
export function heldStep(): StepContext {
  return { signal: new AbortController().signal, worker: 'test:1', attempt: 0, progress: () => undefined, isHeld: async () => true }
}

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface Receiver {
  readonly url: string
  readonly received: readonly Received[]
  /** How it treats new requests: answers a status, `hang`s, or `break`s the connection after it has read them. */
  behave(how: number | 'hang' | 'break'): void
  close(): Promise<void>
}

/** An HTTP server that keeps what it gets. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = []
  let behaviour: number | 'hang' | 'break' = 200
  const server: Server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      received.push({ path: request.url ?? '', headers: request.headers, text: Buffer.concat(parts).toString() })
      if (behaviour === 'break') return request.socket.destroy()
      if (behaviour === 'hang') return undefined
      return response.writeHead(behaviour).end('{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    behave: (how) => (behaviour = how),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
