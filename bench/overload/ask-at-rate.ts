import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import { openConnection } from './connection.ts'
import { quantile } from './quantile.ts'

export interface Asked {
  readonly seconds: number
  /** Answered with 200 within the deadline. */
  readonly good: number
  /** Answered with 200 after it. */
  readonly late: number
  /** Answered with 503 or 504. */
  readonly refused: number
  readonly failed: number
  /** When it was their turn, every connection waited for an answer. */
  readonly unsent: number
  /** Milliseconds, of the good ones. */
  readonly p50: number
  readonly p99: number
  readonly health: { readonly asked: number; readonly answered: number; readonly slowestMs: number }
}

const mostConnections = 1500

/** Sends requests at a rate, whatever comes back, over as many connections as it takes, and asks every 100 ms whether the server lives. */
export async function askAtRate(
  port: number,
  requests: readonly Buffer[],
  { perSecond, forMs, timeoutMs }: { readonly perSecond: number; readonly forMs: number; readonly timeoutMs: number },
): Promise<Asked> {
  const times: number[] = []
  let [late, refused, failed, unsent, sent, open, waiting] = [0, 0, 0, 0, 0, 0, 0]
  const idle: (() => void)[] = []
  const all: Connection[] = []

  async function add(): Promise<void> {
    open++
    let sentAt = 0
    const connection = await openConnection(
      port,
      (status) => {
        const ms = performance.now() - sentAt
        waiting--
        if (status === 503 || status === 504) refused++
        else if (status !== 200) failed++
        else if (ms > timeoutMs) late++
        else times.push(ms)
        idle.push(send)
      },
      () => {
        waiting--
        failed++
        open--
      },
    )
    const send = () => {
      sentAt = performance.now()
      waiting++
      connection.send(requests[sent++ % requests.length] as Buffer)
    }
    all.push(connection)
    idle.push(send)
  }

  await Promise.all(Array.from({ length: 200 }, add))
  const health = watchHealth(port)
  const begin = performance.now()
  let due = 0
  for (let elapsed = 0; elapsed < forMs; elapsed = performance.now() - begin) {
    const until = Math.floor((elapsed * perSecond) / 1000)
    for (; due < until; due++) {
      const send = idle.pop()
      if (send !== undefined) send()
      else {
        unsent++
        if (open < mostConnections) void add()
      }
    }
    await delay(1)
  }
  const seconds = (performance.now() - begin) / 1000
  for (let i = 0; waiting > 0 && i < 100; i++) await delay(50)
  failed += waiting // never answered
  for (const connection of all) connection.close()
  return {
    seconds,
    good: times.length,
    late,
    refused,
    failed,
    unsent,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
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
