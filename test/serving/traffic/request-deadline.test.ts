import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { beforeDeadline, liftDeadline } from '../../../serving/traffic/request-deadline.ts'
import { unlessSlow } from '../../unless-slow.ts'

const within = (limitMs: number) => ({ at: performance.now() + limitMs, limitMs })
const late = expect.objectContaining({ code: 'DEADLINE_EXCEEDED' })

it('ends each of many waits at its own deadline, and returns earlier results', async () => {
  const begun = performance.now()
  const endless = new Promise<never>(() => undefined)
  const ended: [name: string, ms: number][] = []
  const note = (name: string) => (error: unknown) => {
    expect(error).toEqual(late)
    ended.push([name, performance.now() - begun])
  }
  await Promise.all([
    beforeDeadline(within(150), endless).catch(note('long')),
    beforeDeadline(within(40), endless).catch(note('short')),
    expect(beforeDeadline(within(60_000), delay(60, 'there'))).resolves.toBe('there'),
    expect(beforeDeadline(within(60_000), Promise.reject(new Error('no')))).rejects.toThrow('no'),
  ])
  const { short = 0, long = 0 } = Object.fromEntries(ended)
  expect(long).toBeGreaterThanOrEqual(150)
  expect(short).toBeGreaterThanOrEqual(40)
})

it('rejects results after the deadline, even if the busy process noticed it late', async () => {
  const made = beforeDeadline(within(20), delay(1, 'late'))
  const until = performance.now() + 40
  while (performance.now() < until) continue
  await expect(made).rejects.toEqual(late)
})

it('waits past the deadline for work that began its last stage in time', async () => {
  await unlessSlow(300, async () => {
    const deadline = within(300)
    const made = beforeDeadline(deadline, delay(350, 'made'))
    made.catch(() => undefined)
    liftDeadline(deadline)
    await expect(made).resolves.toBe('made')
  })
  expect(() => liftDeadline(within(-1))).toThrow('not answered within')
})
