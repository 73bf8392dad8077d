import { describe, expect, it } from 'vitest'
import { batch, count, entity, featureService, featureView, model, source, t } from '../../index.ts'
import { fillInterval } from '../../kernel/values/interval-text.ts'
import { collectDefinitions } from '../../registry/load/collect.ts'
import type { BatchOptions } from '../../registry/define/batch.ts'
import { scheduledBatchSpec } from '../../registry/scheduled-batch-spec.ts'
import { intervalBefore, batchOfInterval } from '../../serving/batch/scheduled-batches.ts'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64 } })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid: count('1d') } })
const fraud = model('fraud', {
  service: featureService('fraud_features', { version: 1, features: [spending] }),
  output: { probability: t.float32 },
})
const body: BatchOptions = {
  model: fraud,
  schedule: '0  2 * * *',
  out: 's3://ml/scores/day={date}/',
  spine: { sql: "select card, paid_at from payments where paid_at >= '{from}' and paid_at < '{to}'" },
}
const at = (text: string): number => Date.parse(text) * 1000

describe('a batch with a schedule', () => {
  it('is data with defaults, and brings its model with it', () => {
    const nightly = batch('nightly', body)
    expect(nightly.spec).toEqual({
      name: 'nightly',
      model: 'fraud',
      version: null,
      spine: body.spine,
      time: null,
      asOf: 'at',
      columns: null,
      id: 'nightly/{from}',
      out: 's3://ml/scores/day={date}',
      format: 'parquet',
      mode: 'replace',
      key: null,
      onlineMicros: null,
      rowsPerPart: 100_000,
      maxRefused: null,
      minRows: null,
      overwrite: false,
      schedule: '0 2 * * *',
    })
    expect(scheduledBatchSpec.parse(nightly.spec)).toEqual(nightly.spec)
    expect(batch('nightly', { ...body, maxRefused: '1%' }).spec.maxRefused).toEqual({ share: 0.01 })
    const { models, batches } = collectDefinitions([nightly])
    expect([models, batches].map((list) => list.map(({ name }) => name))).toEqual([['fraud'], ['nightly']])
  })

  it('covers the time from the previous instant to its own', () => {
    const interval = intervalBefore('0 2 * * *', at('2026-03-01T02:00Z'))
    expect(interval).toEqual({ from: at('2026-02-28T02:00Z'), to: at('2026-03-01T02:00Z') })
    expect(intervalBefore('0 2 1 * *', at('2026-03-01T02:00Z')).from).toBe(at('2026-02-01T02:00Z'))
    expect(batchOfInterval(batch('nightly', body).spec, interval)).toMatchObject({
      id: 'nightly/2026-02-28T02:00:00Z',
      request: {
        model: 'fraud',
        out: 's3://ml/scores/day=2026-02-28',
        spine: {
          sql: "select card, paid_at from payments where paid_at >= '2026-02-28T02:00:00Z' and paid_at < '2026-03-01T02:00:00Z'",
        },
      },
    })
    const inFolder = batch('nightly', { ...body, out: '/mnt/ml scores/{year}/' }).spec
    expect(batchOfInterval(inFolder, interval).request.out).toBe('file:///mnt/ml%20scores/2026')
    expect(fillInterval("{year}/{month}/{day} {hour}:{minute} '{1,2}' {other}", interval)).toBe("2026/02/28 02:00 '{1,2}' {other}")
  })

  it('refuses what could not run', () => {
    const refused = (change: object): string => {
      try {
        batch('nightly', { ...body, ...change })
      } catch (error) {
        return (error as Error).message
      }
      return 'accepted'
    }
    expect(refused({ out: 's3://ml/scores' })).toContain('the same each time')
    expect(refused({ out: 's3://ml/scores', overwrite: true })).toBe('accepted')
    expect(refused({ out: 'scores/{date}' })).toContain('s3://bucket/folder, a path that begins with "/"')
    expect(refused({ out: '/mnt/scores/' })).toContain('as in "/mnt/scores/day={date}"')
    expect(refused({ out: 's3://ml/{dat}' })).toContain('Did you mean "date"?')
    expect(refused({ id: 'nightly' })).toContain('"nightly/{from}"')
    expect(refused({ spine: { file: 'rows.csv' } })).toContain('begins with "/"')
    expect(refused({ spine: 'select 1' })).toContain("{ sql: 'select …' }")
    expect(refused({ schedule: 'daily' })).toContain('five')
    expect(refused({ model: 'fraud' })).toContain('must be a model')
    expect(refused({ maxRefused: '200%' })).toContain('"200%"')
    expect(refused({ minRows: 0 })).toContain('whole number from 1 on')
    expect(refused({ minRows: 12_000 })).toBe('accepted')
    expect(refused({ format: 'orc' })).toContain('parquet, csv, jsonl')
    expect(refused({ rowsPerParts: 5 })).toContain('"rowsPerPart"')
  })
})
