import fc from 'fast-check'
import { describe } from 'vitest'
import { itAgrees } from './parity.ts'

describe('a continuous view', () => {
  itAgrees('gives training and serving the same bits, for rows in any order and any split into runs, on both online stores', fc.constant({ kind: 'continuous' }), 500)
})
