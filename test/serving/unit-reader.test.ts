import { expect, it } from 'vitest'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { assignVersions } from '../../serving/predict/assign-versions.ts'
import { unitReader } from '../../serving/rollouts/unit-reader.ts'

it('a unit has one text, in whatever way JSON has the value', () => {
  const plan = { keys: [{ name: 'customer', type: { kind: 'int64' } }], request: [] } as unknown as ServicePlan
  const textOf = (customer: unknown) => unitReader(plan, 'customer')?.({ customer }, 0, 'request')
  for (const seven of [7, '7', 7n]) expect(textOf(seven)).toBe('7')
  for (const zero of [0, -0, '0']) expect(textOf(zero)).toBe('0')
  expect(textOf('9007199254740993')).toBe('9007199254740993')
  for (const none of [7.5, 2 ** 53, 'seven', null]) expect(() => textOf(none)).toThrow('customer')
  expect(unitReader(plan, 'request-id')?.({}, 0, 'request')).toBe('request')
  expect(unitReader(plan, 'card')).toBeNull()
})

it('a row of an experiment needs no unit of the rollout', () => {
  const text = { type: { kind: 'string' } }
  const services = new Map([
    ['old@1', { keys: [{ name: 'card', ...text }], request: [] }],
    ['new@1', { keys: [{ name: 'card', ...text }], request: [{ name: 'shop', ...text }] }],
  ])
  const run = {
    name: 'prices',
    salt: 's',
    coverage: 1,
    slices: [{ from: 0, to: 1, variant: 'a' }],
    versions: { a: 1 },
    spec: { unit: 'card', layer: null, allocation: null },
  }
  const model = {
    name: 'fraud',
    pin: null,
    rollout: { version: 2, share: 0.5, unit: 'shop', salt: 'r' },
    experiments: [run],
    versions: [
      { version: 1, service: 'old@1' },
      { version: 2, service: 'new@1' },
    ],
  }
  const catalog = (experiments: readonly unknown[]) =>
    ({ services, models: new Map([['fraud', { ...model, experiments }]]) }) as unknown as Catalog
  const bypass = { isBypassed: () => false, isActive: false }
  const assigned = (experiments: readonly unknown[], entity: object) =>
    assignVersions(
      { model: 'fraud', entities: [entity], caller: { requestId: 'request' } },
      catalog(experiments),
      { failureOf: () => undefined },
      bypass,
    )
  expect(assigned([run], { card: 'c1' })).toMatchObject([{ version: 1, experiment: 'prices', place: undefined }])
  expect(() => assigned([], { card: 'c1' })).toThrow('shop')
  expect(assigned([], { card: 'c1', shop: 's1' })).toMatchObject([{ experiment: null, place: expect.any(Number) as number }])
})
