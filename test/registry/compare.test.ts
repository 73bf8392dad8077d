import { describe, expect, it } from 'vitest'
import { compareDefinitions } from '../../registry/changes/compare.ts'
import { declaredDefinitions, definitionKey } from '../../registry/definition.ts'
import { sampleSet } from './sample-set.ts'

describe('the comparison of code', () => {
  const [before, now] = [sampleSet(), sampleSet({ transform: '(row) => ({ late: 1 })' })]
  const stored = new Map(declaredDefinitions(before).map((definition) => [definitionKey(definition), definition]))
  const code = { declared: now.code, stored: before.code }

  it('fails if the bundler fails, and reports no change', async () => {
    const crash = new Error('The service was stopped')
    await expect(compareDefinitions(declaredDefinitions(now), stored, code, () => Promise.reject(crash))).rejects.toBe(crash)
  })

  it('compares only code whose hash differs', async () => {
    const asked: string[][] = []
    await compareDefinitions(declaredDefinitions(now), stored, code, (a, b) => {
      asked.push([a, b])
      return Promise.resolve(true)
    })
    expect(asked).toEqual([[expect.stringContaining('row.delay'), '(row) => ({ late: 1 })']])
  })
})
