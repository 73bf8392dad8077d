import { describe, expect, it } from 'vitest'
import { createLogger } from '../../runtime/log.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'

describe('the log', () => {
  it('writes one JSON object a line, from its level on, with errors and their causes', () => {
    const lines: string[] = []
    const log = createLogger('info', { write: (line) => void lines.push(line) })
    log.debug('unheard')
    log.info({ view: 'delays@1' }, 'materialized')
    log.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'failed')
    const [info, error] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines.length).toBe(2)
    expect(lines.every((line) => line.endsWith('\n') && !line.slice(0, -1).includes('\n'))).toBe(true)
    expect(info).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.+Z$/) as string,
      pid: process.pid,
      view: 'delays@1',
      msg: 'materialized',
    })
    expect(error).toMatchObject({ level: 'error', msg: 'failed', err: { message: 'outer: inner' } })
  })
})

describe('the metrics', () => {
  it('are those of the process, in a registry of its own each time', async () => {
    const registry = createMetricsRegistry()
    expect(createMetricsRegistry()).not.toBe(registry)
    const text = await registry.metrics()
    for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds', 'process_cpu_seconds_total'])
      expect(text).toContain(name)
  })
})
