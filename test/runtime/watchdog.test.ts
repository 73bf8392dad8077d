import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bareEnvironment } from '../bare-environment.ts'

async function busy(how: 'stands' | 'turns', env: Readonly<Record<string, string>>, signal?: NodeJS.Signals) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'watchdog-process.ts'), how], {
    env: { ...bareEnvironment, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (part: Buffer) => (log += part.toString()))
  await once(child.stdout, 'data')
  if (signal !== undefined) child.kill(signal)
  const [code, endedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code, endedBy, log }
}

describe('a process whose event loop', () => {
  it('blocks is ended with a log entry, and one whose loop turns is not', async () => {
    const [stands, told, turns] = await Promise.all([
      busy('stands', { LOCKSTEP_WATCHDOG_SECONDS: '1' }),
      busy('stands', { LOCKSTEP_WATCHDOG_SECONDS: '1', LOCKSTEP_LOG_LEVEL: 'silent' }, 'SIGTERM'),
      busy('turns', { LOCKSTEP_WATCHDOG_SECONDS: '4' }),
    ])
    expect(stands).toMatchObject({ code: null, endedBy: 'SIGKILL' })
    expect(JSON.parse(stands.log)).toMatchObject({ level: 'fatal', seconds: 1, msg: expect.stringContaining('is blocked') })
    expect(told).toEqual({ code: null, endedBy: 'SIGKILL', log: '' })
    expect(turns).toEqual({ code: 0, endedBy: null, log: '' })
  })
})
