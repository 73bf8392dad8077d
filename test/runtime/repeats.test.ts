import { expect, it } from 'vitest'
import { createDeadLetterLog } from '../../materializer/streams/dead-letters.ts'
import { createRepeats } from '../../runtime/repeats.ts'

it('a line that repeats is written once a minute for each cause, with how much came since', () => {
  let now = 0
  const repeats = createRepeats(() => now)
  expect([repeats('a', 3), repeats('a', 4), repeats('b', 1), repeats('a', 5)]).toEqual([3, null, 1, null])
  now = 59_999
  expect(repeats('a', 1)).toBe(null)
  now = 60_000
  expect([repeats('a', 2), repeats('a', 2), repeats('b', 1)]).toEqual([12, null, 1])
})

it('causes beyond a hundred in a minute count as one, and old ones are forgotten', () => {
  let now = 0
  const repeats = createRepeats(() => now)
  const written = (from: number) => Array.from({ length: 500 }, (_, i) => repeats(`row ${from + i}`)).filter((amount) => amount !== null)
  expect(written(0)).toHaveLength(101)
  now = 60_000
  expect(written(1000)).toHaveLength(101)
})

it('dead letters of one reason have one line', () => {
  const lines: unknown[] = []
  const log = createDeadLetterLog((line) => void lines.push(line))
  const letter = (message: string, reason: string) => ({ message, reason, error: `${message} is wrong`, body: null })
  log([letter('1', 'INVALID_EVENT'), letter('2', 'INVALID_EVENT'), letter('3', 'ROW_REFUSED')])
  log([letter('4', 'INVALID_EVENT')])
  expect(lines).toEqual([
    { message: '1', error: '1 is wrong', letters: 1 },
    { message: '3', error: '3 is wrong', letters: 1 },
  ])
})
