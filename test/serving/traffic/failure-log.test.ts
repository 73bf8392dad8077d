import { expect, it } from 'vitest'
import { LockstepError } from '../../../kernel/errors.ts'
import type { LogLevel } from '../../../runtime/log.ts'
import { createLogger } from '../../../runtime/log.ts'
import { createFailureLog } from '../../../serving/traffic/failure-log.ts'
import { shownError } from '../../../serving/traffic/shown-error.ts'

interface Line {
  readonly level: string
  readonly msg: string
  readonly error: string
  readonly requestId?: string
  readonly stack?: string
  readonly leftOut?: number
}

function open(level: LogLevel) {
  const lines: Line[] = []
  const log = createFailureLog(createLogger(level, { write: (line) => void lines.push(JSON.parse(line) as Line) }))
  let requests = 0
  function fail(error: Error, status = 503): void {
    const requestId = `r${requests++}`
    log.failed({ requestId, trace: null, error, shown: shownError(requestId, error), status })
  }
  return { log, lines, fail, messages: (msg: string) => lines.filter((line) => line.msg === msg) }
}

const redisDown = () => new LockstepError('REDIS_UNAVAILABLE', 'Redis is down.')

it('an outage is logged ten times a minute for each cause, with the number of those left out', () => {
  const { log, lines, fail, messages } = open('info')
  for (let i = 0; i < 3_000; i++) fail(redisDown())
  fail(new LockstepError('POSTGRES_UNAVAILABLE', 'PostgreSQL is down.'))
  expect(messages('a request failed').map(({ error }) => error)).toEqual([
    ...Array.from({ length: 10 }, () => 'Redis is down.'),
    'PostgreSQL is down.',
  ])
  expect(lines).toHaveLength(11)
  log.endMinute()
  expect(lines.slice(11)).toMatchObject([{ level: 'error', code: 'REDIS_UNAVAILABLE', error: 'Redis is down.', leftOut: 2_990 }])
  fail(redisDown())
  expect(lines.slice(12)).toMatchObject([{ msg: 'a request failed', error: 'Redis is down.', requestId: 'r3001' }])
  log.close()
  expect(lines).toHaveLength(13)
})

it('of outages that differ in each request, each code is logged within bounds', () => {
  const { log, lines, fail, messages } = open('info')
  for (let i = 0; i < 1_000; i++) fail(new LockstepError('REDIS_UNAVAILABLE', `Redis is down: ${i}.`))
  expect(lines).toHaveLength(110)
  log.close()
  expect(messages('more requests failed for the same cause')).toMatchObject([{ leftOut: 890 }])
})

it('errors that are not known are all logged, with their stacks', () => {
  const { log, messages, fail } = open('info')
  // its SQLSTATE alone would be temporary
  for (let i = 0; i < 50; i++) fail(Object.assign(new Error('boom'), { code: '40001' }), 500)
  log.close()
  expect(messages('a request failed').map(({ stack }) => stack?.split('\n')[0])).toEqual(Array.from({ length: 50 }, () => 'Error: boom'))
})

it('failures that are left out are logged at level debug', () => {
  const { log, messages, fail } = open('debug')
  for (let i = 0; i < 15; i++) fail(redisDown())
  expect(messages('a request failed').map(({ level }) => level)).toEqual([
    ...Array.from({ length: 10 }, () => 'error'),
    ...Array.from({ length: 5 }, () => 'debug'),
  ])
  log.close()
})
