import { describe, expect, it } from 'vitest'
import { changeCounts, materializeNext, planText } from '../../cli/text/plan-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { PlannedBackfill, Change, ChangePlan } from '../../registry/changes/change-plan.ts'

const nothing: ChangePlan = {
  file: '/features.ts',
  revision: 1,
  changes: [],
  tables: [],
  backfills: [],
  states: [],
  breaks: [],
  kept: [],
  notes: [],
  problems: [],
}

function change(name: string, status: Change['status'], fields: Partial<Change> = {}): Change {
  return {
    kind: 'view',
    name,
    version: 1,
    label: `${name}@1`,
    status,
    summary: '2 features by card from payments',
    differences: [],
    ...fields,
  }
}

function backfill(view: PlannedBackfill['view'], fields: Partial<PlannedBackfill> = {}): PlannedBackfill {
  return { view, reason: 'the view is new', rows: 3_000_000, exact: false, bytes: 240_000_000, seconds: 15, ...fields }
}

describe('a plan as text', () => {
  it('has a line for each change, with its essence', () => {
    const differences = [
      { path: 'features.spent.window', was: '6h', now: '12h' },
      { path: 'features.paid', was: null, now: 'kind window, aggregate count' },
      { path: 'features.gone', was: 'kind latest', now: null },
      { path: 'transform', was: 'a', now: 'b' },
    ]
    const plan = {
      ...nothing,
      changes: [
        change('spending', 'conflict', { differences }),
        change('fraud', 'conflict', {
          kind: 'service',
          differences: [{ path: 'its view spending@1', was: 'as applied before', now: 'changed' }],
        }),
        change('card', 'added', { kind: 'entity', version: 0, label: 'card', summary: 'key card' }),
        change('old', 'removed'),
        change('same', 'unchanged'),
      ],
    }
    expect(planText(plan, { transforms: new Map([['view spending@1', 'features.ts:12-15']]) }).split('\n')).toEqual([
      '  ! feature view spending@1  spent.window 6h → 12h; + paid; - gone; transform changed: features.ts:12-15',
      '  ! feature service fraud@1  uses spending@1',
      '  + entity card              key card',
      '  - feature view old@1       2 features by card from payments',
    ])
    expect(changeCounts(plan)).toBe('2 changed without a new version, 1 added, 1 removed, 1 unchanged')
  })

  it('says what it costs, each view up to six, then together', () => {
    const rewrites = { rows: 100, exact: true, bytes: 18_000, seconds: 20 }
    const table = {
      source: 'payments',
      relation: '"mine"',
      kind: 'addColumns',
      columns: ['_row'],
      indexes: ['a', 'b'],
      statements: [],
      rewrites,
    } as const
    const few = planText({
      ...nothing,
      tables: [table],
      backfills: [backfill('a@1'), backfill('b@1', { reason: 'its table records arrivals' })],
    })
    expect(few.split('\n')).toEqual([
      '  ~ table "mine"  gains _row, 2 indexes',
      '',
      'Costs',
      '  > rewrite "mine"   100 rows (18.0 kB); locked for about 20 s',
      '  > materialize a@1  about 3,000,000 rows (240.0 MB), about 15 s',
      '  > rebuild b@1      about 3,000,000 rows (240.0 MB), about 15 s',
    ])
    const many = planText({ ...nothing, backfills: Array.from({ length: 60 }, (_, i) => backfill(`v${i}@1`)) })
    expect(many).toBe('Costs\n  > materialize 60 views  about 180,000,000 rows (14.4 GB), about 15 min 0 s')
    expect(planText({ ...nothing, backfills: [backfill('empty@1', { rows: 0, exact: true })] })).toBe(
      'Costs\n  > materialize empty@1  no rows yet',
    )
  })

  it('stays within the width, and within a screen for 60 views', () => {
    const plan = {
      ...nothing,
      changes: Array.from({ length: 60 }, (_, i) => change(`merchant_category_${i}`, 'added')),
      notes: Array.from({ length: 9 }, (_, i) => `${i} ${'a long note '.repeat(30)}`),
    }
    for (const width of [80, 120]) {
      const lines = planText(plan, { width }).split('\n')
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
      expect(lines.length).toBeLessThanOrEqual(12)
    }
    expect(planText(plan)).toContain(`note: 0 ${'a long note '.repeat(30)}\n`)
    expect(planText(plan, { width: 80 })).toMatch(
      /^ {2}\+ 60 feature views: merchant_category_0@1, .*\n(.*\n)+.* merchant_category_7@1,\n {4}… and 52 more\n/,
    )
    expect(planText({ ...plan, changes: plan.changes.map((each) => ({ ...each, status: 'conflict' as const })) })).toContain(
      '  ! 48 more feature views',
    )
  })

  it('names what a removal breaks, what is kept, and problems in full', () => {
    const removed = change('delays', 'removed')
    const kept = { kind: 'view', name: 'used', version: 1, label: 'used@1', neededBy: ['model "delay" version 3'] } as const
    const text = planText({
      ...nothing,
      changes: [removed, change('changed', 'conflict')],
      breaks: [
        { cause: 'feature view "delays@1"', broken: 'model "delay" version 3' },
        { cause: 'feature view "changed@1"', broken: 'refused, so nothing of it breaks' },
      ],
      kept: [kept],
      problems: [new LockstepError('BREAKS_MODEL', 'The change breaks it.'), new LockstepError('VERSION_CHANGED', 'a line shows it')],
    })
    expect(text).toContain(
      'Breaks\n  ! model "delay" version 3: feature view "delays@1"\n  = kept: feature view used@1: model "delay" version 3 needs it.',
    )
    expect(text).toContain('  problem BREAKS_MODEL: The change breaks it.')
    expect(text).not.toMatch(/a line shows it|nothing of it breaks/)
  })

  it('has colors only if they are asked for', () => {
    const plan = { ...nothing, changes: [change('a', 'added')] }
    expect(planText(plan, { colors: true })).toContain('\u001B[32m+\u001B[39m feature view a@1')
    expect(planText(plan)).not.toContain('\u001B')
  })
})

it('the command after a plan rebuilds stored views and materializes new ones', () => {
  const again = backfill('old@1', { reason: 'its table records arrivals' })
  expect(materializeNext({ ...nothing, backfills: [backfill('a@1'), again, backfill('empty@1', { rows: 0, exact: true })] })).toBe(
    'lockstep materialize a@1, and lockstep materialize old@1 --rebuild',
  )
  expect(materializeNext({ ...nothing, backfills: [backfill('a@1'), again] }, { onlyRebuilds: true })).toBe(
    'lockstep materialize old@1 --rebuild',
  )
  expect(
    materializeNext({ ...nothing, backfills: ['a@1', 'b@1', 'c@1', 'd@1'].map((view) => backfill(view as PlannedBackfill['view'])) }),
  ).toBe('lockstep materialize')
  expect(materializeNext(nothing)).toBeNull()
})
