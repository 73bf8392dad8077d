import { expect, it } from 'vitest'
import type { ServicePlan } from '../../kernel/service-plan.ts'
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
