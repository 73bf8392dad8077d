import { expect, it } from 'vitest'
import type { Feature } from '../../ui/pages/explain-steps.ts'
import { rowsInValue } from '../../ui/pages/explain-steps.ts'

const step = { t: 10, value: '679', number: 679, status: 'PRESENT', rows: [0, 1, 2], from: null }
const feature = (kind: Feature['kind']): Pick<Feature, 'kind' | 'steps'> => ({ kind, steps: [step] })

it('rows in a value are counted, and are at least so many where rows of the entity are left out', () => {
  expect(rowsInValue({ cut: 0 }, feature('window'), 10)).toBe('3')
  expect(rowsInValue({ cut: 530 }, feature('window'), 10)).toBe('3 or more')
  expect(rowsInValue({ cut: 530 }, feature('latest'), 10)).toBe('3')
  expect(rowsInValue({ cut: 0 }, feature('window'), 9)).toBe('0')
})
