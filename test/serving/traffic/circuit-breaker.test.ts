import { describe, expect, it } from 'vitest'
import { createBreaker } from '../../../serving/traffic/circuit-breaker.ts'

const away = new Error('away')
const wrong = new Error('wrong')
const refused = new Error('refused')

function breaker() {
  let now = 0
  const changes: boolean[] = []
  const made = createBreaker({
    isUnavailable: (error) => error === away,
    refuse: () => refused,
    now: () => now,
    onChange: (open) => void changes.push(open),
  })
  const outcome = (work: () => Promise<unknown>) => made.run(work).then(String, (error: Error) => error.message)
  return {
    changes,
    pass: (ms: number) => void (now += ms),
    run: (work: () => Promise<unknown>) => outcome(work),
    fail: (error = away) =>
      outcome(async () => {
        throw error
      }),
    succeed: () => outcome(async () => 'done'),
    isOpen: () => made.isOpen,
  }
}

describe('a breaker', () => {
  it('opens after five failures in a row, and refuses without asking', async () => {
    const it = breaker()
    for (let i = 0; i < 4; i++) expect(await it.fail()).toBe('away')
    expect(await it.succeed()).toBe('done')
    for (let i = 0; i < 5; i++) expect(await it.fail()).toBe('away')
    expect(it.isOpen()).toBe(true)
    let asked = false
    expect(await it.run(async () => (asked = true))).toBe('refused')
    expect(asked).toBe(false)
    expect(it.changes).toEqual([true])
  })

  it('counts an error reply as an answer', async () => {
    const it = breaker()
    for (let i = 0; i < 20; i++) await it.fail(i % 4 === 3 ? wrong : away)
    expect(it.isOpen()).toBe(false)
  })

  it('admits one trial after its time, and closes if that succeeds', async () => {
    const it = breaker()
    for (let i = 0; i < 5; i++) await it.fail()
    it.pass(500)
    let answer: (value: string) => void = () => undefined
    const trial = it.run(() => new Promise<string>((resolve) => (answer = resolve)))
    expect(await it.succeed()).toBe('refused')
    answer('back')
    expect(await trial).toBe('back')
    expect(await it.succeed()).toBe('done')
    expect(it.changes).toEqual([true, false])
  })

  it('doubles its open time after a failed trial, up to 5 s, and closes on an answer', async () => {
    const it = breaker()
    for (let i = 0; i < 5; i++) await it.fail()
    for (const ms of [500, 1000, 2000, 4000, 5000, 5000]) {
      it.pass(ms - 1)
      expect(await it.fail()).toBe('refused')
      it.pass(1)
      expect(await it.fail()).toBe('away')
    }
    it.pass(5000)
    expect(await it.fail(wrong)).toBe('wrong')
    expect(it.isOpen()).toBe(false)
  })

  it('ignores requests that started before it opened', async () => {
    const it = breaker()
    let answer: (value: string) => void = () => undefined
    const slow = it.run(() => new Promise<string>((resolve) => (answer = resolve)))
    for (let i = 0; i < 5; i++) await it.fail()
    answer('late')
    expect(await slow).toBe('late')
    expect(it.isOpen()).toBe(true)
  })
})
