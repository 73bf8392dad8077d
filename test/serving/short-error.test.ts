import { expect, it } from 'vitest'
import { shortMessage } from '../../serving/traffic/short-error.ts'

it('cuts long texts between quotes, and keeps the words between two of them', () => {
  const own = 'has features in another order, and the answer would be a wrong one. '.repeat(5)
  const message = `The model "eta" ${own}Train it on a training set of "eta_features@1", not of "${'x'.repeat(500)}" here.`
  expect(shortMessage(message)).toBe(message.replace('x'.repeat(500), `${'x'.repeat(199)}…`))
})

it('keeps a message short where a name in it has a quote', () => {
  const message = `There is no model "a"${'"b'.repeat(3000)}".`
  expect(shortMessage(message).length).toBeLessThanOrEqual(2000)
})
