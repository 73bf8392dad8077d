import { expect, it } from 'vitest'
import type { Catalog } from '../../registry/catalog.ts'
import { selectVersions } from '../../serving/models/select-versions.ts'

const versions = [{ version: 1 }, { version: 2 }]
const models = ['slow', 'broken', 'good', 'last'].map((name) => [name, { name, versions, aliases: new Map(), experiments: [] }] as const)
const catalog = { models: new Map(models) } as unknown as Catalog

it('does not let a slow model delay the others, and reports them in order', async () => {
  let release: (() => void) | undefined
  const released = new Promise<void>((resolve) => (release = resolve))
  const told: string[] = []
  const chosen = await selectVersions(catalog.models, {
    before: () => undefined,
    async load({ name }, { version }) {
      if (name === 'slow') await released
      if (name === 'slow' || (name === 'broken' && version === 2)) throw new Error(`${name} does not load`)
      // the last has its turn while the first is still being loaded
      if (name === 'last') release?.()
    },
    isFatal: () => false,
    onChosen: (model, { version }) => told.push(`${model}@${version}`),
  })
  expect(told).toEqual(['broken@1', 'good@2', 'last@2'])
  expect([...chosen.answering].map(([name, { version }]) => [name, version])).toEqual([
    ['broken', 1],
    ['good', 2],
    ['last', 2],
  ])
  expect(chosen.failed.map(({ model, version, instead }) => [model, version, instead])).toEqual([
    ['slow', 2, null],
    ['slow', 1, null],
    ['broken', 2, 1],
  ])
})

it('continues with the next if all concurrent loads hang', async () => {
  const gate = Promise.withResolvers<void>()
  const names = Array.from({ length: 5 }, (_, i) => `model${i}`)
  const many = {
    models: new Map(names.map((name) => [name, { name, versions, aliases: new Map(), experiments: [] }])),
  } as unknown as Catalog
  const told: string[] = []
  const { answering } = await selectVersions(many.models, {
    before: () => undefined,
    async load({ name }) {
      if (name !== 'model4') await gate.promise
    },
    isFatal: () => false,
    onChosen(model) {
      told.push(model)
      gate.resolve()
    },
  })
  expect(told[0]).toBe('model4')
  expect(answering.size).toBe(5)
})

it('ends if nothing can be read', async () => {
  const away = new Error('away')
  await expect(
    selectVersions(catalog.models, { before: () => undefined, load: () => Promise.reject(away), isFatal: (error) => error === away }),
  ).rejects.toBe(away)
})
