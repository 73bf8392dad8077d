import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import { openConnection } from './connection.ts'
import { quantile } from './quantile.ts'

export interface Asked {
  readonly seconds: number
  /** Answered with 200 within the deadline. */
  readonly good: number
  /** Answered with 200 after the deadline. */
  readonly late: number
  /** Answered with 503 or 504. */
  readonly refused: number
  readonly failed: number
  /** Not sent: every connection still waited for an answer when it was their turn. */
  readonly unsent: number
  /** Milliseconds, of the requests answered in time. */
  readonly p50: number
  readonly p99: number
  /** The share of a processor that the server used during the load. */
  readonly cpu: number
  readonly health: { readonly asked: number; readonly answered: number; readonly slowestMs: number }
}

export interface Load {
  readonly perSecond: number
  readonly forMs: number
  readonly timeoutMs: number
  /** The processor time that the server has used so far. */
  readonly cpuSeconds: () => Promise<number>
}

const maxConnections = 1500
const connectionsAtOnce = 50

/**
 * Sends requests at a fixed rate, whatever comes back, over as many connections as it takes, and checks every 100 ms
 * that the server is live. It keeps sending for `timeoutMs` after the measured load, until the measured requests are
 * answered. A server that holds requests when the load ends answers them late but in time, and these would be the
 * slowest of all.
 */
export async function askAtRate(
  port: number,
  requests: readonly Buffer[],
  { perSecond, forMs, timeoutMs, cpuSeconds }: Load,
): Promise<Asked> {
  const times: number[] = []
  let [late, refused, failed, unsent, sent, open, waiting, due, end] = [0, 0, 0, 0, 0, 0, 0, 0, 0]
  let begin = Number.POSITIVE_INFINITY
  const idle: (() => void)[] = []
  const all: Connection[] = []

  async function add(): Promise<void> {
    open++
    let sentAt = 0
    let counts = false
    const connection = await openConnection(
      port,
      (status) => {
        const ms = performance.now() - sentAt
        const wasCounted = counts
        waiting--
        idle.push(send)
        sendDue()
        if (!wasCounted) return
        if (status === 503 || status === 504) refused++
        else if (status !== 200) failed++
        else if (ms > timeoutMs) late++
        else times.push(ms)
      },
      () => {
        waiting--
        if (counts) failed++
      },
    )
    const send = () => {
      sentAt = performance.now()
      counts = sentAt < end
      waiting++
      connection.send(requests[sent++ % requests.length] as Buffer)
    }
    all.push(connection)
    idle.push(send)
  }

  /** Uses the clock also between two ticks of the timer, because a connection becomes idle when an answer arrives. */
  function sendDue(): void {
    const elapsed = performance.now() - begin
    if (elapsed >= forMs + timeoutMs) return
    const until = Math.floor((elapsed * perSecond) / 1000)
    for (; due < until; due++) {
      const send = idle.pop()
      if (send !== undefined) send()
      else if (elapsed < forMs) unsent++
    }
  }

  // Connects first: a busy server accepts one connection a turn of its event loop, and the bench measures how it
  // handles requests.
  while (open < maxConnections) {
    await Promise.all(Array.from({ length: connectionsAtOnce }, add))
    await delay(50)
  }
  const health = watchHealth(port)
  const cpuBefore = await cpuSeconds()
  begin = performance.now()
  end = begin + forMs
  while (performance.now() - begin < forMs + timeoutMs) {
    sendDue()
    await delay(1)
  }
  const cpu = ((await cpuSeconds()) - cpuBefore) / ((performance.now() - begin) / 1000)
  for (let i = 0; waiting > 0 && i < 100; i++) await delay(50)
  failed += waiting // never answered
  for (const connection of all) connection.close()
  return {
    seconds: forMs / 1000,
    good: times.length,
    late,
    refused,
    failed,
    unsent,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    cpu,
    health: await health(),
  }
}

function watchHealth(port: number): () => Promise<Asked['health']> {
  let stopped = false
  let [asked, answered, slowestMs] = [0, 0, 0]
  const watching = (async () => {
    while (!stopped) {
      const start = performance.now()
      asked++
      const { status } = await fetch(`http://127.0.0.1:${port}/livez`)
      if (status === 200) answered++
      slowestMs = Math.max(slowestMs, performance.now() - start)
      await delay(100)
    }
  })()
  return async () => {
    stopped = true
    await watching
    return { asked, answered, slowestMs }
  }
}
