import { expect, it } from 'vitest'
import { logJobs } from '../../cli/log-jobs.ts'
import { createLogger } from '../../runtime/log.ts'

it('an outage for which jobs wait is logged once a minute, and another one at once', () => {
  const logged: string[] = []
  let now = 0
  const write = logJobs(
    createLogger('info', { write: (line) => void logged.push((JSON.parse(line) as { error: string }).error) }),
    () => now,
  )
  for (; now < 120_000; now += 2_000) write({ type: 'unavailable', error: 'Redis is down.' })
  expect(logged).toEqual(['Redis is down.', 'Redis is down.'])
  now = 119_000
  write({ type: 'unavailable', error: 'Redis is down.' })
  write({ type: 'unavailable', error: 'PostgreSQL is down.' })
  expect(logged.slice(2)).toEqual(['PostgreSQL is down.'])
})
