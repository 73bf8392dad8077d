import { expect, it } from 'vitest'
import { CopyBuffer } from '../../offline/rows/copy-buffer.ts'

const pieces = (sizes: readonly number[]) => sizes.map((size, i) => Buffer.alloc(size, i + 1))

it.each([
  ['nothing', [], []],
  ['a little', [1000, 24], [16_384]],
  ['more than a chunk', [16_000, 1000, 40_000], [16_384, 32_768, 65_536]],
  ['pieces longer than a chunk', [300_000, 10, 300_000], [300_000, 262_144, 300_000]],
])('gives back the bytes of %s, in memory of about their size', (_, sizes, memory) => {
  const out = new CopyBuffer()
  const written = pieces(sizes)
  for (const piece of written) out.raw(piece)
  const chunks = [...out.takeFull(), ...out.takeRest()]
  expect(Buffer.concat(chunks).equals(Buffer.concat(written))).toBe(true)
  expect(chunks.map(({ buffer }) => buffer.byteLength)).toEqual(memory)
  expect(out.takeRest()).toEqual([])
})

it('continues after all was taken, and leaves taken bytes unchanged', () => {
  const out = new CopyBuffer()
  out.int32(1)
  const [first] = out.takeRest()
  out.int32(2)
  const [second] = out.takeRest()
  expect([first, second]).toEqual([Buffer.from([0, 0, 0, 1]), Buffer.from([0, 0, 0, 2])])
})
