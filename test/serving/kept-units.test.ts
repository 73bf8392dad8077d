import { expect, it, vi } from 'vitest'
import type { Catalog } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { createKeptUnits } from '../../serving/rollouts/kept-units.ts'

it('asks for a reload after new shares that came while late exposures were read', async () => {
  let nowMs = 0
  let answered = Promise.resolve()
  const query = async (): Promise<never[]> => {
    await answered
    return []
  }
  const kept = createKeptUnits(() => nowMs, { warn: () => undefined })
  const onRead = vi.fn<() => void>()
  const runOf = (variant: string) =>
    ({
      id: 1,
      name: 'e',
      salt: 's',
      slices: [{ from: 0, to: 1, variant }],
      spec: { allocation: {}, unit: 'user' },
    }) as unknown as ExperimentRun
  const load = (run: ExperimentRun) =>
    kept.load({ query }, { models: new Map([['m', { experiments: [run] }]]) } as unknown as Catalog, onRead)
  const first = runOf('a')
  expect((await load(first)).size).toBe(0)

  nowMs = 10_000
  const late = Promise.withResolvers<void>()
  answered = late.promise
  await load(first)
  const next = runOf('b')
  expect((await load(next)).get(next)?.slices).toEqual(first.slices)
  expect(onRead).not.toHaveBeenCalled()
  late.resolve()
  await vi.waitFor(() => expect(onRead).toHaveBeenCalledOnce(), 60_000)
  expect((await load(next)).size).toBe(0)
})
