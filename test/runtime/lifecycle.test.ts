import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createLifecycle } from '../../runtime/lifecycle.ts'
import { createLogger } from '../../runtime/log.ts'

const silent = createLogger('silent')

describe('the lifecycle', () => {
  it('closes all, last opened first, once', async () => {
    const closed: string[] = []
    const lifecycle = createLifecycle(silent)
    for (const name of ['a', 'b', 'c']) lifecycle.add(name, () => void closed.push(name))
    await Promise.all([lifecycle.close(), lifecycle.close()])
    await lifecycle.close()
    expect(closed).toEqual(['c', 'b', 'a'])
  })

  it('waits for one before it closes the next', async () => {
    const events: string[] = []
    const lifecycle = createLifecycle(silent)
    lifecycle.add('database', () => void events.push('database'))
    lifecycle.add('server', async () => {
      events.push('server begins')
      await new Promise((resolve) => setTimeout(resolve, 20))
      events.push('server ends')
    })
    await lifecycle.close()
    expect(events).toEqual(['server begins', 'server ends', 'database'])
  })

  it('closes the others if one fails, and names it', async () => {
    const closed: string[] = []
    const lifecycle = createLifecycle(silent)
    lifecycle.add('a', () => void closed.push('a'))
    lifecycle.add('b', () => Promise.reject(new Error('stuck')))
    lifecycle.add('c', () => void closed.push('c'))
    await expect(lifecycle.close()).rejects.toThrow('Closing failed: "b" (stuck).')
    expect(closed).toEqual(['c', 'a'])
  })

  it('names resources that are not closed in time', async () => {
    const lifecycle = createLifecycle(silent, { timeoutMs: 20 })
    lifecycle.add('slow', () => new Promise(() => undefined))
    await expect(lifecycle.close()).rejects.toThrow('"slow" was not closed within 20 ms.')
  })

  it('closes resources that are opened during or after the close', async () => {
    const closed: string[] = []
    const lifecycle = createLifecycle(silent)
    lifecycle.add('a', () => lifecycle.add('b', () => void closed.push('b')))
    await lifecycle.close()
    lifecycle.add('c', () => void closed.push('c'))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(closed).toEqual(['b', 'c'])
  })

  async function run(mode: string, signals: readonly NodeJS.Signals[]) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'lifecycle-process.ts'), mode], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let log = ''
    child.stderr.on('data', (part: Buffer) => (log += part.toString()))
    child.stdout.on('data', (part: Buffer) => (out += part.toString()))
    const ended = once(child, 'close')
    for (const [i, signal] of signals.entries()) {
      // a signal that arrives before the one before it was handled is lost
      await expect.poll(() => out).toContain(i === 0 ? 'open\n' : 'waits\n')
      child.kill(signal)
    }
    const [code] = (await ended) as [number]
    return { code, out: out.trim().split('\n'), log }
  }

  it('closes all and ends the process with 0 on SIGTERM and on SIGINT', async () => {
    const ended = { code: 0, out: ['open', 'second closed', 'first closed'], log: '' }
    expect(await Promise.all([run('', ['SIGTERM']), run('', ['SIGINT'])])).toEqual([ended, ended])
  })

  it('exits with 1 and a log if closing fails, hangs or gets a second signal', async () => {
    const [failed, hung, cut] = await Promise.all([
      run('fails', ['SIGTERM']),
      run('hangs', ['SIGTERM']),
      run('waits', ['SIGTERM', 'SIGTERM']),
    ])
    expect(failed).toMatchObject({
      code: 1,
      out: ['open', 'first closed'],
      log: expect.stringContaining('Closing failed: \\"second\\" (no more).') as string,
    })
    expect(hung).toMatchObject({
      code: 1,
      out: ['open'],
      log: expect.stringContaining('\\"second\\" was not closed within 300 ms.') as string,
    })
    expect(cut).toMatchObject({ code: 1, out: ['open', 'waits'], log: '' })
  })
})
