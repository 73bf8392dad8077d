import type { Registry } from 'prom-client'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { HistogramCell } from '../counted-histogram.ts'
import { CountedHistogram } from '../counted-histogram.ts'

/** Does the work, and measures how long it takes. */
export type Timed = <T>(work: () => Promise<T>) => Promise<T>

/** Does not measure. */
export const untimed: Timed = (work) => work()

export interface RoundTrips {
  /**
   * Measures one kind of operation of a store.
   *
   * @param every measures one of so many: a hot path need not pay for each. Default: 1
   */
  timer(store: StoreName, operation: string, every?: number): Timed
}

export type StoreName = 'postgresql' | 'redis' | 'sqlite'

/** The round trips of a process to its stores, in one histogram. All callers with a registry share it. */
export const roundTripsOf = memoizeWeak((registry: Registry): RoundTrips => {
  const seconds = new CountedHistogram({
    name: 'lockstep_store_seconds',
    help: 'Time of operations of the stores, failed ones included. Of reads of features, one in eight is measured.',
    labelNames: ['store', 'operation'],
    buckets: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  })
  const cells = new Map<string, HistogramCell>()

  function cellOf(store: StoreName, operation: string): HistogramCell {
    const name = `${store} ${operation}`
    let cell = cells.get(name)
    if (cell === undefined) cells.set(name, (cell = seconds.cell({ store, operation })))
    return cell
  }

  return {
    timer(store, operation, every = 1) {
      // a cell appears in the metrics, so it is made for the first observation
      let cell: HistogramCell | null = null
      let calls = 0
      return (work) => {
        if (calls++ % every !== 0) return work()
        const begun = performance.now()
        const observe = (): void => (cell ??= cellOf(store, operation)).observe((performance.now() - begun) / 1000)
        const made = work()
        made.then(observe, observe)
        return made
      }
    },
  }
})

/** What PostgreSQL is asked for. */
export function postgresTimers(trips: RoundTrips): { readonly query: Timed; readonly read: Timed; readonly copy: Timed } {
  const timer = (operation: string): Timed => trips.timer('postgresql', operation)
  return { query: timer('query'), read: timer('read'), copy: timer('copy') }
}
