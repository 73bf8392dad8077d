import { expect, it } from 'vitest'
import { createLoginLimit } from '../../../serving/dashboard/session/login-limit.ts'

it('log-ins are limited by credential and address, whatever other credentials are tried', () => {
  let now = 0
  const limit = createLoginLimit(() => now)
  const fail = (address: string, credential: string, times: number): void => {
    for (let i = 0; i < times; i++) limit.failed(address, credential)
  }
  fail('a', 'ann-code-1', 10)
  expect(() => limit.check('a', 'ann-code-1')).toThrow('Too many log-ins from "a" failed; try again in 6 seconds.')
  limit.check('a', 'bob-code-1')
  limit.check('b', 'ann-code-1')
  for (let i = 0; i < 290; i++) limit.failed('a', String(i).padStart(8, 'x'))
  expect(() => limit.check('a', 'bob-code-1')).toThrow('try again in 1 seconds')
  limit.check('b', 'bob-code-1')
  now += 1000
  limit.check('a', 'bob-code-1')

  // made-up credentials of one address do not free another one
  now += 10_000
  fail('b', 'ann-code-1', 10)
  for (let i = 0; i < 4000; i++) limit.failed('a', String(i).padStart(8, 'y'))
  expect(() => limit.check('b', 'ann-code-1')).toThrow('Too many log-ins')
})
