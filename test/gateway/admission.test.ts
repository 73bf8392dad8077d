import { describe, expect, it } from 'vitest'
import { createAdmission } from '../../serving/gateway/admission.ts'

const forever = Number.POSITIVE_INFINITY

/** With a clock and a load of the test's own. */
function admission(most: number) {
  let now = 0
  let busy = 0
  const said: string[] = []
  const made = createAdmission({ most, now: () => now, busy: () => busy })
  return {
    ...made,
    said,
    enter: (name: string, until = forever) =>
      made.enter(
        () => void said.push(`${name} in`),
        () => void said.push(`${name} refused`),
        until,
      ),
    limit: () => made.limit,
    inFlight: () => made.inFlight,
    pass(ms: number, load = busy) {
      now += ms
      busy = load
      made.sample()
    },
  }
}

describe('an admission', () => {
  it('lets in up to its limit, holds the next, and lets the oldest of those in when one leaves', () => {
    const gate = admission(2)
    for (const name of ['a', 'b', 'c', 'd']) gate.enter(name)
    expect(gate.said).toEqual(['a in', 'b in'])
    gate.leave()
    expect(gate.said.slice(2)).toEqual(['c in'])
    expect(gate.inFlight()).toBe(2)
    gate.close()
    expect(gate.said.slice(3)).toEqual(['d refused'])
  })

  it('of a busy process lets the newest in where the oldest has waited for too long, and refuses that in the end', () => {
    const gate = admission(1)
    gate.pass(10, 1)
    gate.enter('a')
    gate.enter('old')
    gate.pass(20)
    gate.enter('new')
    gate.leave()
    expect(gate.said).toEqual(['a in', 'new in'])
    gate.pass(40)
    expect(gate.said.slice(2)).toEqual(['old refused'])
    gate.close()
  })

  it('lets thousands in one after the other that leave as soon as they are in', () => {
    const gate = createAdmission({ most: 1, now: () => 0, busy: () => 0 })
    let ran = 0
    gate.enter(
      () => undefined,
      () => undefined,
      forever,
    )
    for (let i = 0; i < 10_000; i++) {
      gate.enter(
        () => {
          ran++
          gate.leave()
        },
        () => undefined,
        forever,
      )
    }
    gate.leave()
    expect([ran, gate.inFlight]).toEqual([10_000, 0])
    gate.close()
  })

  it('lets the oldest in of a process that is not busy, however long it has waited', () => {
    const gate = admission(1)
    gate.enter('a')
    gate.enter('old')
    gate.pass(40)
    gate.enter('new')
    gate.leave()
    expect(gate.said).toEqual(['a in', 'old in'])
    gate.close()
  })

  it('refuses, when it is its turn, what would not be done by its deadline', () => {
    const gate = admission(100)
    for (let i = 0; i < 100; i++) gate.enter('x')
    // 1 in a millisecond
    for (let i = 0; i < 50; i++) {
      for (let n = 0; n < 10; n++) {
        gate.leave()
        gate.enter('x')
      }
      gate.pass(10)
    }
    gate.said.length = 0
    gate.enter('hasty', 500 + 50)
    gate.enter('patient', 500 + 5000)
    gate.leave()
    expect(gate.said).toEqual(['hasty refused', 'patient in'])
    gate.close()
  })

  it('limits a busy process to what it finishes in 8 ms, between 128 and the most, and forgets it when it has time again', () => {
    const gate = admission(1000)
    const run = (perMs: number, ms: number, load: number) => {
      for (let i = 0; i < ms / 10; i++) {
        for (let n = 0; n < perMs * 10; n++) {
          gate.enter('x')
          gate.leave()
        }
        gate.pass(10, load)
      }
    }
    run(40, 1000, 0.2)
    expect(gate.limit()).toBe(1000)
    run(40, 1000, 1)
    expect(gate.limit()).toBeGreaterThan(300)
    expect(gate.limit()).toBeLessThanOrEqual(321)
    run(1, 1000, 1)
    expect(gate.limit()).toBe(128)
    run(1, 1000, 0.2)
    expect(gate.limit()).toBe(1000)
    gate.close()
  })
})
