import { describe, expect, it } from 'vitest'
import { createAdmission } from '../../../serving/traffic/admission.ts'

const forever = Number.POSITIVE_INFINITY

/** With a clock and a load of the test's own. */
function admission(most: number) {
  let now = 0
  let busy = 0
  const said: string[] = []
  const made = createAdmission({ max: most, now: () => now, busy: () => busy })
  return {
    ...made,
    said,
    enter: (name: string, until = forever) =>
      made.enter({
        run: () => void said.push(`${name} in`),
        refuse: () => void said.push(`${name} refused`),
        deadline: { at: until, limitMs: until },
      }),
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
  it('admits up to its limit, queues the next, and then admits the oldest', () => {
    const gate = admission(2)
    for (const name of ['a', 'b', 'c', 'd']) gate.enter(name)
    expect(gate.said).toEqual(['a in', 'b in'])
    gate.leave()
    expect(gate.said.slice(2)).toEqual(['c in'])
    expect(gate.inFlight()).toBe(2)
    gate.close()
    expect(gate.said.slice(3)).toEqual(['d refused'])
  })

  it('admits the newest if the oldest waited too long, and finally refuses that one', () => {
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
    const gate = createAdmission({ max: 1, now: () => 0, busy: () => 0 })
    let ran = 0
    gate.enter({ run: () => undefined, refuse: () => undefined, deadline: undefined })
    const request = {
      run() {
        ran++
        gate.leave()
      },
      refuse: () => undefined,
      deadline: undefined,
    }
    for (let i = 0; i < 10_000; i++) gate.enter(request)
    gate.leave()
    expect([ran, gate.inFlight]).toEqual([10_000, 0])
    gate.close()
  })

  it('admits the oldest if the process is not busy, after any wait', () => {
    const gate = admission(1)
    gate.enter('a')
    gate.enter('old')
    gate.pass(40)
    gate.enter('new')
    gate.leave()
    expect(gate.said).toEqual(['a in', 'old in'])
    gate.close()
  })

  it('refuses, at its turn, a request that would miss its deadline', () => {
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

  it('admits fewer while the process has no idle time, at least 16, and then more', () => {
    const gate = admission(1000)
    const pass = (samples: number, load: number) => {
      for (let i = 0; i < samples; i++) gate.pass(10, load)
      return gate.limit()
    }
    expect(pass(10, 0.9)).toBe(1000)
    const falling = [pass(1, 1), pass(1, 1), pass(1, 0.99)]
    expect(falling).toEqual([900, 810, 729])
    expect(pass(100, 1)).toBe(16)
    // what is under way waits for something else then
    expect(pass(1, 0.97)).toBe(24)
    expect(pass(3, 0.9)).toBe(81)
    expect(pass(100, 0.2)).toBe(1000)
    gate.close()
  })

  it('refuses anyone who waits over 12 ms in a busy process, and admits new arrivals', () => {
    const gate = admission(1)
    gate.pass(10, 1)
    for (const name of ['a', 'b', 'x']) gate.enter(name)
    gate.pass(1)
    gate.enter('c')
    gate.pass(12)
    gate.leave()
    expect(gate.said).toEqual(['a in', 'c in'])
    gate.leave()
    expect(gate.said).toHaveLength(2)
    gate.enter('d')
    expect(gate.said.slice(2)).toEqual(['d in'])
    gate.pass(40)
    expect(gate.said.slice(3)).toEqual(['b refused', 'x refused'])
    gate.close()
  })

  it('admits long waiting requests as soon as the queue is short', () => {
    const gate = admission(1000)
    for (let i = 0; i < 100; i++) gate.pass(10, 1)
    for (let i = 0; i < 200; i++) gate.enter(String(i))
    gate.pass(20)
    for (let i = 0; i < 71; i++) gate.leave()
    // 129 are there, of whom those that wait have waited for too long
    expect([gate.said.length, gate.inFlight()]).toEqual([128, 57])
    gate.leave()
    expect(gate.said.slice(128)).toEqual(Array.from({ length: 72 }, (_, i) => `${128 + i} in`))
    gate.close()
  })

  it('lets all of the first 128 in, and of a crowd before a busy process 16', () => {
    const gate = admission(1000)
    for (let i = 0; i < 100; i++) gate.pass(10, 1)
    for (let i = 0; i < 300; i++) gate.enter(String(i))
    expect([gate.said.length, gate.inFlight()]).toEqual([128, 128])
    for (let i = 0; i < 112; i++) gate.leave()
    expect([gate.said.length, gate.inFlight()]).toEqual([128, 16])
    for (let i = 0; i < 60; i++) gate.leave()
    // the oldest first, as none has waited for long; when they are a crowd no more, all
    expect(gate.said.slice(128, 130)).toEqual(['128 in', '129 in'])
    expect(gate.said).toHaveLength(300)
    expect(gate.inFlight()).toBe(128)
    gate.close()
  })
})
