import { expect, test } from 'vitest'
import { checkJsonShape } from '../../serving/protocols/http/request/check-json-shape.ts'

const pad = JSON.stringify('x'.repeat(20_000))
const refused = (text: string) => {
  try {
    checkJsonShape(text)
    return false
  } catch {
    return true
  }
}

test('a text is refused above the limits on depth, object members or total values', () => {
  const deep = (depth: number) => `${'['.repeat(depth)}${pad}${']'.repeat(depth)}`
  expect([deep(64), deep(65)].map(refused)).toEqual([false, true])
  const wide = (members: number) => JSON.stringify([pad, Object.fromEntries(Array.from({ length: members }, (_, i) => [`k${i}`, i]))])
  expect([wide(1000), wide(1001)].map(refused)).toEqual([false, true])
  const values = (count: number) => JSON.stringify(new Array(count).fill(0))
  expect([values(2 ** 18), values(2 ** 18 + 1)].map(refused)).toEqual([false, true])
  // of a longer one, what its length stands for
  expect(refused(JSON.stringify(new Array(2 ** 19).fill(0.125)))).toBe(false)
  expect(refused(JSON.stringify(new Array(2 ** 20).fill(0)))).toBe(true)
})

test('the contents of texts do not count, with any escapes', () => {
  for (const text of ['[{,'.repeat(9000), '\\'.repeat(20_001), '\\"'.repeat(9000), '"[\\\\"{,'.repeat(9000)]) {
    expect(refused(JSON.stringify({ a: text, b: [text, { [text]: text }] }))).toBe(false)
  }
  expect(refused(`"${'x'.repeat(20_000)}`)).toBe(false)
})
