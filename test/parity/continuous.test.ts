import fc from 'fast-check'
import { describe, it } from 'vitest'
import { budget } from '../budget.ts'
import { agreement } from './parity.ts'

describe('a continuous view', () => {
  const agrees = agreement(fc.constant({ kind: 'continuous' }), budget(500))

  it('gives training and serving the same bits in both stores, for any row order', agrees)
})
