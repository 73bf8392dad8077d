import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer, connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bareEnvironment } from '../bare-environment.ts'
import { rootFolder } from '../source-files.ts'
import { logToFile, logToPipe } from '../../runtime/log-destination.ts'
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

describe('the metrics of a process', () => {
  it('follow the names of Prometheus: a name with _total is a counter', async () => {
    const text = await createMetricsRegistry().metrics()
    const totals = [...text.matchAll(/^# TYPE (\S+_total) (\w+)$/gm)].map(([, name, type]) => [name, type])
    expect(totals.length).toBeGreaterThan(0)
    expect(totals.filter(([, type]) => type !== 'counter')).toEqual([])
    expect(text).toContain('# TYPE nodejs_active_handles gauge')
  })
})

describe('a log that cannot be written', () => {
  it('drops what a reader leaves in a pipe, and reports the amount once it reads', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-log-'))
    const server = createServer({ pauseOnConnect: true }).listen(join(folder, 'pipe'))
    const met = once(server, 'connection')
    const stream = connect(join(folder, 'pipe'))
    const [reader] = (await met) as [Socket]
    const log = logToPipe(stream)
    for (let i = 0; i < 4000; i += 1) log.write(`${'x'.repeat(999)}\n`)
    expect(log.dropped).toBeGreaterThan(1000)

    let text = ''
    reader.on('data', (part: Buffer) => (text += part.toString())).resume()
    await expect.poll(() => text).toContain('were dropped')
    log.write('after\n')
    await expect.poll(() => text).toContain('after')
    const lines = text.trim().split('\n')
    expect(lines.filter((line) => line.startsWith('xxx')).length + log.dropped).toBe(4000)
    expect(JSON.parse(lines.at(-2) ?? '')).toMatchObject({ level: 'warn', pid: process.pid, lines: log.dropped })

    const before = log.dropped
    stream.destroy()
    log.write('gone\n')
    expect(log.dropped).toBe(before + 1)
    server.close()
    rmSync(folder, { recursive: true })
  })

  it('drops lines while the disk is full', () => {
    const fd = openSync('/dev/full', 'w')
    const log = logToFile(fd)
    log.write('one\n')
    log.write('two\n')
    closeSync(fd)
    expect(log.dropped).toBe(2)
  })

  const script = `
    import { createLogger } from '${join(rootFolder, 'runtime/log.ts')}'
    import { createMetricsRegistry } from '${join(rootFolder, 'runtime/metrics.ts')}'
    const log = createLogger('info')
    process.stdin.on('end', () => process.exit(0)).once('data', () => {
      for (let i = 0; i < 5000; i += 1) log.info({ i, text: 'x'.repeat(1000) }, 'a line')
      setInterval(async () => {
        console.log(/^lockstep_log_lines_dropped_total (\\d+)$/m.exec(await createMetricsRegistry().metrics())[1])
      }, 50)
    })`
  it.each(['a full disk', 'a closed pipe', 'a pipe that nobody reads'])('neither ends nor stops a process: %s', async (kind) => {
    const fd = kind === 'a full disk' ? openSync('/dev/full', 'w') : null
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: bareEnvironment,
      stdio: ['pipe', 'pipe', fd ?? 'pipe'],
    })
    if (kind === 'a closed pipe') child.stderr?.destroy()
    let out = ''
    child.stdout?.on('data', (part: Buffer) => (out += part.toString()))
    const ended = once(child, 'exit')
    // it logs only now that the pipe is closed, and reports how many lines it has dropped until its input ends
    child.stdin?.write('log')
    const dropped = () => Number(out.trim().split('\n').at(-1))
    if (kind === 'a pipe that nobody reads') await expect.poll(dropped).toBeGreaterThan(3000)
    else await expect.poll(dropped).toBe(5000)
    child.stdin?.end()
    expect(await ended).toEqual([0, null])
    if (fd !== null) closeSync(fd)
  })
})

describe('the metrics', () => {
  it('belong to the process, in a new registry each time', async () => {
    const registry = createMetricsRegistry()
    expect(createMetricsRegistry()).not.toBe(registry)
    const text = await registry.metrics()
    for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds', 'process_cpu_seconds_total'])
      expect(text).toContain(name)
  })
})
