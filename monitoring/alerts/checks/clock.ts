import { hostname } from 'node:os'
import { parseDuration } from '../../../kernel/duration.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import type { CheckKind } from '../check-kind.ts'

type Spec = CheckOf<'clock'>

const tries = 3

/**
 * Compares the clock of this machine with that of the database. The answer lies between two readings of the own clock,
 * so half of the round trip is the error; the fastest of a few tries counts.
 */
export const clock: CheckKind<Spec> = {
  name: 'clock',
  async evaluate(context, { maxOffset }) {
    const { db } = context
    let best: { readonly offset: number; readonly error: number } | null = null
    for (let i = 0; i < tries; i++) {
      const before = context.clock()
      const [row] = await db.query<{ now: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::float8 AS now')
      const after = context.clock()
      if (row === undefined || after < before) continue
      const found = { offset: (before + after) / 2 - row.now, error: (after - before) / 2 }
      if (best === null || found.error < best.error) best = found
    }
    const threshold = parseDuration(maxOffset) / 1e6
    const host = hostname()
    if (best === null)
      return [
        {
          subject: 'clock',
          state: 'unknown',
          value: null,
          threshold,
          n: 0,
          evidence: { host },
          cause: `The clock of "${host}" went backwards meanwhile.`,
        },
      ]
    const off = Math.max(0, Math.abs(best.offset) - best.error) / 1e6
    const isOff = off > threshold
    const cause = isOff
      ? `The clock of "${host}" is ${Math.abs(best.offset / 1e6).toFixed(1)} s ${best.offset > 0 ? 'ahead of' : 'behind'} that of the database. Check its time synchronization (NTP).`
      : null
    const evidence = { host, offsetSeconds: best.offset / 1e6, errorSeconds: best.error / 1e6 }
    return [{ subject: 'clock', state: isOff ? 'breach' : 'ok', value: off, threshold, n: tries, evidence, cause }]
  },
}
