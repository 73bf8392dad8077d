import { describe, expect, it } from 'vitest'
import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import type { Evidence } from '../../../monitoring/rollouts/decide.ts'
import { decide } from '../../../monitoring/rollouts/decide.ts'
import { gateDifference, judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import { latencyEvidence } from '../../../monitoring/rollouts/gates/latency.ts'
import { webhookAnswer } from '../../../monitoring/rollouts/gates/webhook.ts'
import { replayDecision } from '../../../monitoring/rollouts/replay.ts'
import { SideCounts } from '../../../monitoring/rollouts/side-counts.ts'
import { controllerActor } from '../../../registry/rollouts/decisions.ts'
import type { GateOf, GateSpec } from '../../../registry/rollouts/plan-schema.ts'
import { gate, parsePlan } from '../../../registry/rollouts/plan-schema.ts'

const second = 1_000_000
const side = (requests: number, failed: number) => ({ requests, failed, codes: failed === 0 ? {} : { MODEL_FAILED: failed } })
const errorsOf = (candidate: readonly [number, number], champion: readonly [number, number] = [10_000, 10]) => ({
  candidate: side(...candidate),
  champion: side(...champion),
  championOf: 'the same time',
})
const verdict = (spec: GateSpec, evidence: JsonValue) => judgeGate(spec, evidence).verdict
/** Where what is allowed lies beside the interval of how much worse the candidate is. */
const allowedLies = (spec: GateSpec, evidence: JsonValue) => {
  const found = gateDifference(spec, evidence)
  if (found === null) return null
  expect(found.low).toBeLessThanOrEqual(found.value)
  expect(found.high).toBeGreaterThanOrEqual(found.value)
  return found.allowed < found.low ? 'below' : found.allowed > found.high ? 'above' : 'within'
}

describe('decide', () => {
  const steps = [
    { share: 0.1, atLeast: '10s', samples: 100 },
    { share: 1, atLeast: '10s', samples: 100 },
  ]
  const plan = parsePlan({ steps, gates: [{ kind: 'errors', margin: 0.01, samples: 100 }] }, [])
  const evidence = (fields: Partial<Evidence>): Evidence => ({
    micros: 20 * second,
    rows: 1000,
    bypasses: 0,
    bypassedRows: 0,
    gates: [errorsOf([1000, 1])],
    failures: [null],
    ...fields,
  })
  const manual = { ...plan, promote: 'manual' } as const
  const optional = parsePlan({ steps, gates: [{ kind: 'errors', optional: true, samples: 100_000 }] }, [])
  const cases = [
    ['advances when the step is over and the gates agree', plan, 0, {}, 'advance'],
    ['promotes after the last step', plan, 1, {}, 'promote'],
    ['waits for a person after the last step if the plan says so', manual, 1, {}, 'hold'],
    ['waits until the step is over', plan, 0, { micros: 9 * second }, 'not enough evidence'],
    ['waits for rows', plan, 0, { rows: 99 }, 'not enough evidence'],
    ['waits for a gate without evidence', plan, 0, { gates: [null], failures: ['down'] }, 'not enough evidence'],
    ['goes on without an optional gate', optional, 0, {}, 'advance'],
    ['rolls back at once on a breach', plan, 0, { micros: second, rows: 5, gates: [errorsOf([200, 60])] }, 'roll back'],
    ['rolls back if servers bypass the candidate', plan, 0, { bypasses: 1, bypassedRows: 7 }, 'roll back'],
  ] as const
  it.each(cases)('%s', (_, own, step, fields, action) => {
    const decision = decide(own, step, evidence(fields))
    expect([decision.action, decision.reasons.length > 0]).toEqual([action, true])
    expect(decide(own, step, JSON.parse(JSON.stringify(evidence(fields))) as Evidence)).toEqual(decision)
  })

  it('gives the decision of an earlier version whose reasons had other words, not one with other figures', () => {
    const gates = parsePlan({ steps, gates: [{ kind: 'errors', samples: 2000 }, { kind: 'split' }] }, [])
    const units = { at: 0, share: 0.5, candidate: 20, champion: 30, leastP: 1 }
    const found = { ...evidence({ gates: [errorsOf([1000, 1]), units], failures: [null, null] }) }
    const again = decide(gates, 0, found)
    expect(again.reasons).toMatchObject([/each version needs 2000\.$/, /needs 100 units\.$/].map((end) => expect.stringMatching(end)))
    const replay = (reasons: readonly string[]) =>
      replayDecision(gates, {
        id: 7,
        revision: 1,
        step: 0,
        at: new Date(0),
        since: new Date(0),
        action: again.action,
        by: controllerActor,
        reasons,
        evidence: JSON.parse(JSON.stringify(found)) as JsonValue,
        shareBefore: 0.1,
        shareAfter: 0.1,
      })
    const earlier = again.reasons.map((reason) => reason.replace(/ That is too few.*/, ' That is too few.'))
    expect(replay(earlier)).toEqual(again)
    const [errors = '', split = ''] = earlier
    const others = [
      [errors],
      [split, errors],
      [errors, split, split],
      [errors.replace('1000', '1001'), split],
      [errors, `parity: ${split}`],
    ]
    for (const other of others) expect(() => replay(other)).toThrow(/^The decision 7 was "not enough evidence", .* differs/)
  })
})

describe('the gate', () => {
  it('errors tells a worse candidate from one that keeps the margin', () => {
    const spec = gate({ kind: 'errors', margin: 0.01 })
    expect(verdict(spec, errorsOf([1000, 100]))).toBe('roll back')
    expect(verdict(spec, errorsOf([5000, 6]))).toBe('advance')
    expect(verdict(spec, errorsOf([100, 0]))).toBe('not enough evidence')
    expect(judgeGate(spec, errorsOf([100, 0])).text).toMatch(/ That is too few: each version needs 200\.$/)
    expect(verdict(spec, errorsOf([250, 5]))).toBe('hold')
    const lies = (
      [
        [1000, 100],
        [50_000, 60],
        [250, 5],
        [0, 0],
      ] as const
    ).map((side) => allowedLies(spec, errorsOf(side)))
    expect(lies).toEqual(['below', 'above', 'within', null])
    expect(gateDifference(spec, errorsOf([1000, 101]))).toMatchObject({ unit: 'share', value: 0.1, allowed: 0.01 })
    // what fails with both says nothing against the candidate
    expect(verdict(spec, errorsOf([1000, 300], [1000, 310]))).toBe('advance')
    // without a champion the margin is the limit
    expect(verdict(spec, { ...errorsOf([1000, 100], [0, 0]), championOf: 'nothing' })).toBe('roll back')
    expect(verdict(gate({ kind: 'errors', margin: 0.01, onBreach: 'hold' }), errorsOf([1000, 100]))).toBe('hold')
    expect(verdict(gate({ kind: 'errors', margin: 0.01, prove: true }), errorsOf([300, 0], [300, 0]))).toBe('not enough evidence')
  })

  it('latency compares a quantile, and leaves short differences alone', () => {
    const bins = (ms: number, requests = 500) => {
      const counts = new SideCounts()
      for (let i = 0; i < requests; i++) counts.latency.observe(ms * (0.9 + (0.2 * i) / requests))
      return counts.latency.total().bins()
    }
    const spec = gate({ kind: 'latency' })
    const evidence = (candidate: number, champion: number) => ({
      candidate: bins(candidate),
      champion: bins(champion),
      championOf: 'the same time',
    })
    expect(verdict(spec, evidence(50, 10))).toBe('roll back')
    expect(verdict(spec, evidence(11, 10))).toBe('advance')
    expect(verdict(spec, evidence(3, 1))).toBe('advance')
    expect(verdict(spec, { ...evidence(11, 10), candidate: bins(11, 5) })).toBe('not enough evidence')
    expect([allowedLies(spec, evidence(50, 10)), allowedLies(spec, evidence(10, 10))]).toEqual(['below', 'above'])
    const none = { ...evidence(11, 10), candidate: bins(11, 0) }
    expect(judgeGate(spec, none).text).toBe('0 requests of the candidate and 500 of the champion are timed.')
    expect(gateDifference(spec, none)).toBeNull()
  })

  it('latency takes no slow units for a slow candidate', () => {
    const spec = gate({ kind: 'latency', prove: true, samples: 100 }) as GateOf<'latency'>
    /** The times of units: `slow` says which take six times as long, with both versions. */
    const evidence = (units: number, slow: (unit: number) => boolean, { share = 0.25, factor = 1, hasUnits = true } = {}) => {
      const counts = { candidate: new SideCounts(), champion: new SideCounts(), championOf: 'the same time' as const }
      const requests = Math.max(100, 4000 / units)
      for (let unit = 0; unit < units; unit++) {
        const isOwn = unit < units * share
        for (let i = 0; i < requests; i++) {
          const ms = (slow(unit) ? 60 : 10) * (isOwn ? factor : 1) * (0.9 + (0.2 * i) / requests)
          counts[isOwn ? 'candidate' : 'champion'].latency.observe(ms, hasUnits ? unit / units + (unit * 37) / 2 ** 53 : undefined)
        }
      }
      return latencyEvidence(spec, counts, share)
    }
    const unlucky = evidence(20, (unit) => unit === 2)
    expect(judgeGate(spec, unlucky)).toMatchObject({ verdict: 'hold', text: expect.stringContaining('the units that it got') as string })
    expect(verdict(spec, { ...unlucky, byUnit: null })).toBe('roll back')
    expect([allowedLies(spec, unlucky), allowedLies(spec, { ...unlucky, byUnit: null })]).toEqual(['within', 'below'])
    const someSlow = (unit: number) => unit % 8 === 1
    const few = evidence(5, () => false)
    const verdicts = [
      evidence(20, someSlow, { factor: 2 }),
      evidence(1000, someSlow, { factor: 2 }),
      evidence(1000, someSlow),
      few,
      // which version gets a unit is no chance, or units are not known: requests decide
      { ...few, byUnit: null },
      evidence(20, someSlow, { factor: 2, hasUnits: false }),
    ].map((each) => verdict(spec, each))
    expect(verdicts).toEqual(['roll back', 'roll back', 'advance', 'not enough evidence', 'advance', 'hold'])
    expect(JSON.parse(JSON.stringify(unlucky))).toEqual(unlucky)
    // at 100 % requests decide alone: of rollups, no units are known
    const [all, earlier] = [new SideCounts(), new SideCounts()]
    for (let i = 0; i < 500; i++) {
      all.latency.observe(30, (i % 5) / 2 ** 53)
      earlier.latency.observe(10)
    }
    const rollups = new SideCounts()
    rollups.latency.add(earlier.latency.total())
    const atAll = latencyEvidence(spec, { candidate: all, champion: rollups, championOf: 'the hour before' }, 1)
    expect([atAll.byUnit, verdict(spec, atAll)]).toEqual([null, 'roll back'])
  })

  it('features finds one that lacks values', () => {
    const of = (missing: number) => ({
      at: 0,
      entities: { candidate: 300, champion: 3000 },
      features: {
        fine: { candidate: { missing: 3, entities: 300 }, against: { missing: 30, entities: 3000 }, of: 'champion' },
        broken: { candidate: { missing, entities: 300 }, against: { missing: 30, entities: 3000 }, of: 'champion' },
      },
    })
    const broken = judgeGate(gate({ kind: 'features' }), of(200))
    expect(broken).toMatchObject({ verdict: 'roll back', text: expect.stringContaining('"broken" has no value for 66.7 %') as string })
    expect(verdict(gate({ kind: 'features' }), of(4))).toBe('advance')
    expect([200, 4].map((missing) => allowedLies(gate({ kind: 'features' }), of(missing)))).toEqual(['below', 'within'])
  })

  it('quality and calibration compare figures of mature predictions', () => {
    const figure = (value: number, n = 2000, entities = n) => {
      return { value, standardError: 0.005, n, reason: null, spread: { entities, residuals: null } }
    }
    const of = (candidate: object) => ({
      at: 0,
      outcome: 'late',
      figure: 'calibrationError',
      better: 'lower',
      margin: 0.05,
      candidate,
      champion: figure(0.01),
      steps: [{ share: 0.5, candidate, champion: figure(0.01) }],
    })
    const spec = gate({ kind: 'calibration' })
    expect(verdict(spec, of(figure(0.2)) as JsonValue)).toBe('roll back')
    expect(verdict(spec, of(figure(0.02)) as JsonValue)).toBe('advance')
    expect(verdict(spec, of(figure(0.2, 20)) as JsonValue)).toBe('not enough evidence')
    expect(verdict(spec, of(figure(0.2, 2000, 99)) as JsonValue)).toBe('hold')
    expect(verdict(spec, of(figure(0.02, 2000, 99)) as JsonValue)).toBe('not enough evidence')
    expect(verdict(spec, of({ ...figure(0), value: null, reason: 'none is mature' }) as JsonValue)).toBe('not enough evidence')
    const business = gate({ kind: 'business', figure: 'amount', better: 'higher', margin: 1 })
    const amounts = (mean: number) => {
      const sides = { candidate: { ...figure(mean), standardError: 0.2 }, champion: { ...figure(20), standardError: 0.2 } }
      return { at: 0, outcome: 'paid', figure: 'amount', better: 'higher', margin: 1, ...sides, steps: [{ share: 0.5, ...sides }] }
    }
    const lies = [0.2, 0.02].map((value) => allowedLies(spec, of(figure(value)) as JsonValue))
    expect(lies).toEqual(['below', 'above'])
    // the interval is asymptotic
    expect(gateDifference(spec, of(figure(0.2, 20)) as JsonValue)).toBeNull()
    expect(gateDifference(business, amounts(15))).toMatchObject({ value: 5, allowed: 1 })
    expect(verdict(business, amounts(15))).toBe('roll back')
    expect(verdict(business, amounts(25))).toBe('advance')
  })

  it('split, parity, freshness, inputs, load and webhook say what they found', () => {
    const split = (candidate: number) => ({ at: 0, share: 0.5, candidate, champion: 1000, leastP: 1 })
    const few = { at: 0, share: 0.5, candidate: 20, champion: 30, leastP: 1 }
    expect(judgeGate(gate({ kind: 'split' }), few).text).toMatch(/ That is too few: the test needs 100 units\.$/)
    expect([verdict(gate({ kind: 'split' }), split(1010)), verdict(gate({ kind: 'split' }), split(700))]).toEqual(['advance', 'roll back'])
    const parity = (differing: number) => ({
      checkedTo: 0,
      vectors: 10,
      values: 100,
      differing,
      features: differing > 0 ? { amount: differing } : {},
    })
    expect([verdict(gate({ kind: 'parity' }), parity(0)), verdict(gate({ kind: 'parity' }), parity(1))]).toEqual(['advance', 'roll back'])
    const view = (shared: boolean) => ({ views: [{ view: 'a@1', shared, lagSeconds: 900, late: 'it is 15m behind.' }], reason: null })
    expect([verdict(gate({ kind: 'freshness' }), view(true)), verdict(gate({ kind: 'freshness' }), view(false))]).toEqual([
      'hold',
      'roll back',
    ])
    const inputs = (p: number, champion: number | null = null) => ({
      minutes: 3,
      rows: 900,
      features: [{ feature: 'amount', p, effect: 0.5, psi: 0.6, champion, causes: [] }],
      reason: null,
    })
    expect([verdict(gate({ kind: 'inputs' }), inputs(0.005)), verdict(gate({ kind: 'inputs' }), inputs(1e-6))]).toEqual([
      'advance',
      'roll back',
    ])
    // the hour of the day differs from the champion's training set, too
    expect(judgeGate(gate({ kind: 'inputs' }), inputs(1e-6, 0.3))).toMatchObject({
      verdict: 'advance',
      text: 'The 1 tested features of 900 rows are like the candidate\'s training set, but for "amount", which differs as much from the champion\'s.',
    })
    expect(verdict(gate({ kind: 'inputs' }), inputs(1e-6, 0.2))).toBe('roll back')
    const load = (refused: number) => ({ minutes: 2, requests: 1000, refused, cores: 0.5 })
    expect([verdict(gate({ kind: 'load' }), load(0)), verdict(gate({ kind: 'load' }), load(50))]).toEqual(['advance', 'hold'])
    const hook = gate({ kind: 'webhook', name: 'board', url: 'https://example.com', secret: { env: 'BOARD' } })
    const answer = (action: string) => ({ at: 0, answer: { action, text: 'so it is' }, error: null })
    expect(['advance', 'hold', 'roll back'].map((action) => verdict(hook, answer(action)))).toEqual(['advance', 'hold', 'roll back'])
    expect(webhookAnswer.parse({ action: 'roll back', text: 'a\0b\u001b\ud800' })).toEqual({ action: 'roll back', text: 'a b \ufffd' })
    expect(judgeGate(hook, { at: 0, answer: null, error: 'it is down' })).toMatchObject({ verdict: 'not enough evidence' })
  })
})

it('counts of servers merge, and are read back as they were', () => {
  const [one, two] = [new SideCounts(), new SideCounts()]
  one.requests = 3
  one.rows = 30
  one.bypasses = 1
  one.addError('MODEL_FAILED', 2)
  const [unit, other] = [0.5 + 3 / 2 ** 53, 0.25 + 4 / 2 ** 53]
  one.latency.observe(4, unit)
  one.latency.observe(4)
  two.latency.observe(40, unit)
  two.requests = 1
  two.addError('MODEL_FAILED')
  two.latency.observe(400, other)
  one.merge(two)
  const read = SideCounts.decode(one.encode())
  expect(read).toMatchObject({ requests: 4, rows: 30, bypasses: 1, bypassedRows: 0 })
  expect([...(read?.errors ?? [])]).toEqual([['MODEL_FAILED', 3]])
  for (const times of [read?.latency, one.latency]) {
    expect(times?.total().bins().counts).toEqual([2, 1, 1])
    expect(times?.byGroup().map(({ count }) => count)).toEqual([2, 1])
  }
  expect(read?.latency.total().bins()).toEqual(one.latency.total().bins())
})
