import { quantile } from './quantile.ts'
import { openConnection } from './connection.ts'

/**
 * Each connection sends a request, waits for the answer, and sends the next. All answers must be 200. Times in
 * milliseconds.
 */
export async function askInTurn(port: number, requests: readonly Buffer[], connections: number, forMs: number) {
  const times: number[] = []
  let next = 0
  const begin = performance.now()
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve, reject) => {
          let sentAt = 0
          const opened = openConnection(
            port,
            (status) => {
              if (status !== 200) return reject(new Error(`a request was answered with ${status}`))
              times.push(performance.now() - sentAt)
              if (performance.now() - begin < forMs) ask()
              else void opened.then((connection) => connection.close()).then(resolve)
            },
            () => reject(new Error('a connection was lost')),
          )
          const ask = () => {
            sentAt = performance.now()
            void opened.then((connection) => connection.send(requests[next++ % requests.length] as Buffer))
          }
          opened.then(ask, reject)
        }),
    ),
  )
  const rate = times.length / ((performance.now() - begin) / 1000)
  return { connections, rate, p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}
