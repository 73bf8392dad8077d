import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AlertRules, AlertState, MonitorFinding } from '../../../monitoring/alerts/alert-state.ts'
import { nextState, noDataFinding } from '../../../monitoring/alerts/alert-state.ts'
import { budget } from '../../budget.ts'

const minute = 60_000_000
const rules: AlertRules = { everyMicros: minute, forMicros: 2 * minute, clearAfter: 2 }

/** `b` breach, `o` ok, `u` unknown, one a minute; what each leads to, and what changes. */
function walk(findings: string, of: AlertRules = rules): string {
  let state: AlertState | null = null
  const names = { b: 'breach', o: 'ok', u: 'unknown' } as const
  return findings
    .split('')
    .map((letter, i) => {
      const step = nextState(state, names[letter as keyof typeof names], (i + 1) * minute, of)
      state = step.state
      const mark = step.change === 'fires' ? '!' : step.change === 'resolves' ? '.' : ''
      return `${step.state.phase}${mark}`
    })
    .join(' ')
}

describe('the states of an alert', () => {
  it.each([
    ['a breach alone is pending', 'b', 'pending'],
    ['a breach for long enough fires, once', 'bbbb', 'pending pending firing! firing'],
    ['a pending alert that is fine again never fires', 'bbobb', 'pending pending ok pending pending'],
    ['an unknown evaluation is no all-clear of a pending alert', 'bbub', 'pending pending pending pending'],
    ['and its time is no breach', 'buuub', 'pending pending pending pending pending'],
    ['after it, breaches add up again', 'bbubb', 'pending pending pending pending firing!'],
    ['a firing alert is resolved after so many fine ones', 'bbboo', 'pending pending firing! firing ok.'],
    ['a breach between them restarts the count', 'bbboboo', 'pending pending firing! firing firing firing ok.'],
    ['an unknown one between them counts as neither', 'bbbouo', 'pending pending firing! firing firing ok.'],
    ['unknown ones alone never resolve it', 'bbbuuuu', 'pending pending firing! firing firing firing firing'],
    ['unknown ones alone never start it', 'uuuu', 'ok ok ok ok'],
  ])('%s', (_, findings, expected) => {
    expect(walk(findings)).toBe(expected)
  })

  it('fires at once where it need not breach for long', () => {
    expect(walk('bob', { ...rules, forMicros: 0, clearAfter: 1 })).toBe('firing! ok. firing!')
  })

  it('does not count the time of evaluations that were missed as a breach', () => {
    const first = nextState(null, 'breach', minute, { ...rules, forMicros: 10 * minute }).state
    const later = nextState(first, 'breach', 61 * minute, { ...rules, forMicros: 10 * minute })
    expect(later).toMatchObject({ change: null, state: { phase: 'pending', breachedMicros: 2 * minute } })
  })

  it('does not move by an evaluation that it has had, or that is older', () => {
    const { state } = nextState(null, 'breach', 5 * minute, rules)
    for (const moment of [5 * minute, 4 * minute]) expect(nextState(state, 'ok', moment, rules)).toEqual({ state, change: null })
  })

  it('agrees with a naive model on generated sequences', () => {
    const finding = fc.constantFrom<MonitorFinding>('ok', 'breach', 'unknown')
    fc.assert(
      fc.property(fc.array(finding, { maxLength: 60 }), fc.nat(4), fc.integer({ min: 1, max: 4 }), (findings, wait, clearAfter) => {
        const of: AlertRules = { everyMicros: minute, forMicros: wait * minute, clearAfter }
        let state: AlertState | null = null
        for (const [i, each] of findings.entries()) {
          const step = nextState(state, each, (i + 1) * minute, of)
          expect({ phase: step.state.phase, change: step.change }).toEqual(naive(findings.slice(0, i + 1), of))
          state = step.state
        }
      }),
      { numRuns: budget(1000) },
    )
  })
})

/** Looks at the complete history each time. */
function naive(
  findings: readonly MonitorFinding[],
  { forMicros, clearAfter }: AlertRules,
): { phase: AlertState['phase']; change: string | null } {
  let phase: AlertState['phase'] = 'ok'
  let change: string | null = null
  let since = 0
  findings.forEach((finding, i) => {
    change = null
    if (phase !== 'firing') {
      if (finding === 'ok') phase = 'ok'
      if (finding !== 'breach') return
      if (phase === 'ok') since = i
      phase = 'pending'
      // pairs of breaches in a row since it is pending
      const minutes = findings.slice(since + 1, i + 1).filter((each, at) => each === 'breach' && findings[since + at] === 'breach').length
      if (minutes * minute < forMicros) return
      phase = 'firing'
      change = 'fires'
      since = i
      return
    }
    const known = findings.slice(since + 1, i + 1).filter((each) => each !== 'unknown')
    if (finding !== 'ok' || known.length < clearAfter || known.slice(-clearAfter).some((each) => each === 'breach')) return
    phase = 'ok'
    change = 'resolves'
  })
  return { phase, change }
}

describe('no data', () => {
  const at = (findings: string): AlertState => {
    let state: AlertState | null = null
    for (const [i, letter] of findings.split('').entries())
      state = nextState(state, letter === 'o' ? 'ok' : 'unknown', (i + 1) * minute, rules).state
    if (state === null) throw new Error('no findings')
    return state
  }

  it.each([
    ['is a breach after so long without data', 'ouuuu', 3 * minute, 'breach'],
    ['is none before', 'ouuu', 3 * minute, 'ok'],
    ['is none where there never was data', 'uuuuuu', 3 * minute, 'ok'],
    ['is none once there is data again', 'ouuuuo', 3 * minute, 'ok'],
    ['is none where it is off', 'ouuuu', null, 'ok'],
  ] as const)('%s', (_, findings, noDataMicros, expected) => {
    expect(noDataFinding(at(findings), noDataMicros)).toBe(expected)
  })
})
