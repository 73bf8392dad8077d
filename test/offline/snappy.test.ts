import fc from 'fast-check'
import { snappyUncompress } from 'hyparquet'
import { snappyCompress } from 'hyparquet-writer/src/snappy.js'
import { expect, it } from 'vitest'
import { compressSnappy } from '../../offline/files/snappy.ts'
import { budget } from '../budget.ts'

/** Bytes of few and many values, and pages of numbers and text, to lengths past the largest distance of a copy. */
const pages = fc
  .record({
    length: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 65_000, max: 140_000 })),
    values: fc.constantFrom(1, 2, 7, 60, 256),
    period: fc.constantFrom(1, 3, 8, 70, 70_000),
    seed: fc.integer(),
  })
  .map(({ length, values, period, seed }) => {
    const bytes = new Uint8Array(length)
    let state = seed
    for (let i = 0; i < length; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
      const repeats = i >= period && ((state >>> 8) & 15) !== 0
      bytes[i] = repeats ? (bytes[i - period] as number) : (state >>> 24) % values
    }
    return bytes
  })

it('compresses a page to the bytes of hyparquet-writer, which are read back', () => {
  fc.assert(
    fc.property(pages, (page) => {
      const compressed = compressSnappy(page)
      expect(Buffer.compare(compressed, snappyCompress(page))).toBe(0)
      const read = new Uint8Array(page.length)
      snappyUncompress(compressed, read)
      expect(Buffer.compare(read, page)).toBe(0)
    }),
    { numRuns: budget(1_000) },
  )
})
