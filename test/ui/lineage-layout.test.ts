import { expect, it } from 'vitest'
import { layout } from '../../ui/pages/lineage-layout.ts'

const node = (key: string) => ({ key, kind: 'model', name: key, about: null, retired: false, up: 0, down: 0 })

it.each([1, 2, 3, 4])('an edge that passes beside other nodes is inside the drawing: %i of them', (count) => {
  const versions = Array.from({ length: count }, (_, i) => `version ${i}`)
  const sets = Array.from({ length: count }, (_, i) => `set ${i}`)
  const edges = [
    ...sets.map((to) => ({ from: 'service', to })),
    ...sets.map((from) => ({ from, to: 'version 0' })),
    ...versions.flatMap((each) => [
      { from: 'service', to: each },
      { from: each, to: 'model' },
    ]),
    { from: 'service', to: 'model' },
  ]
  const { edges: drawn, height } = layout(['service', ...sets, ...versions, 'model'].map(node), edges)
  const ends = drawn
    .flatMap(({ path }) => path.split(/[MLC]/).slice(1))
    .flatMap((points) => points.split(' ').filter((_, i) => i % 2 === 1))
  expect(drawn).toHaveLength(edges.length)
  expect(Math.min(...ends.map(Number))).toBeGreaterThanOrEqual(0)
  expect(Math.max(...ends.map(Number))).toBeLessThanOrEqual(height)
})
