import { describe, expect, it } from 'vitest'
import type { ColumnResult } from '../../../monitoring/alerts/checks/group-columns.ts'
import { groupColumns } from '../../../monitoring/alerts/checks/group-columns.ts'

const version = {
  model: 'fraud',
  version: 3,
  features: [],
  outputs: [],
  groupOf: (column: string) => (column.startsWith('output:') ? 'fraud' : column === 'distance' ? 'places' : 'payments'),
}

function column(name: string, state: ColumnResult['state'] = 'ok', value: number | null = 0.01): ColumnResult {
  const cause = { ok: null, breach: `"${name}" moved.`, unknown: `"${name}" has too few rows.` }[state]
  return { column: name, state, value, threshold: 0.1, n: 100, evidence: { harm: 1 }, cause }
}

/** Evaluates the same columns again and again, with what was remembered. */
function evaluations(...looks: (readonly ColumnResult[])[]) {
  let memories = new Map<string, unknown>()
  return looks.map((look) => {
    const results = groupColumns(look, version, (subject) => memories.get(subject))
    memories = new Map(results.map(({ subject, memory }) => [subject, JSON.parse(JSON.stringify(memory))]))
    return results
  })
}

describe('columns of one source', () => {
  it('have one result, which leads with the most harmful of those that breach', () => {
    const [results] = evaluations([
      column('amount', 'breach', 4),
      column('distance'),
      column('country', 'ok'),
      column('trusted', 'breach', 2),
      column('output:score', 'breach', 3),
    ])
    expect(results).toMatchObject([
      {
        subject: 'payments (model version 3)',
        state: 'breach',
        value: 4,
        cause: '"amount" moved. Columns of "payments" that breach, too: "trusted".',
        evidence: { columns: [{ column: 'amount' }, { column: 'trusted' }, { column: 'country' }], of: 3 },
      },
      { subject: 'places (model version 3)', state: 'ok', cause: null },
      { subject: 'fraud (model version 3)', state: 'breach', cause: '"output:score" moved.', evidence: { columns: [{ column: 'score' }] } },
    ])
  })

  it('name three others, and count the rest', () => {
    const [[result] = []] = evaluations(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => column(name, 'breach')))
    expect(result?.cause).toBe('"a" moved. Columns of "payments" that breach, too: "b", "c", "d" and 2 more.')
  })

  it('keep their subject when another column joins, and are ok once all that breached are', () => {
    const looks = evaluations(
      [column('amount', 'breach'), column('country')],
      [column('amount', 'breach'), column('country', 'breach')],
      [column('amount', 'unknown'), column('country')],
      [column('amount'), column('country', 'unknown')],
      [column('amount'), column('country')],
      [column('amount'), column('country', 'unknown')],
      [column('amount', 'unknown'), column('country', 'unknown')],
    )
    expect(new Set(looks.flat().map(({ subject }) => subject))).toEqual(new Set(['payments (model version 3)']))
    expect(looks.flat().map(({ state }) => state)).toEqual(['breach', 'breach', 'unknown', 'unknown', 'ok', 'ok', 'unknown'])
    expect(looks.map(([look]) => look?.joined)).toEqual([
      undefined,
      'More columns of "payments" breach now: "country" moved.',
      ...looks.slice(2).map(() => undefined),
    ])
    expect(looks[2]?.[0]?.cause).toBe('"amount" has too few rows.')
  })
})
