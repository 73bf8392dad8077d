import fc from 'fast-check'
import { describe, it } from 'vitest'
import { everyMinutes, minute } from '../kernel/view-oracle.ts'
import { budget } from '../budget.ts'
import { agreement } from './parity.ts'

const schedules = fc
  .tuple(fc.constantFrom(5, 30), fc.constantFrom(0, minute, 40 * minute))
  .map(([n, delayMicros]) => everyMinutes(n, delayMicros))

describe('a scheduled view', () => {
  const agrees = agreement(schedules, budget(500))

  it('gives training and serving the same bits on its schedule, in both stores', agrees)
})
