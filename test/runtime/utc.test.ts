import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

describe('a process of Lockstep', () => {
  it('runs in UTC in any zone of the machine', () => {
    const config = join(import.meta.dirname, '../../runtime/config.ts')
    const program = `await import(${JSON.stringify(config)}); process.stdout.write(new Date(2001, 6, 1, 12).toISOString())`
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, TZ: 'America/New_York' },
      stdio: 'pipe',
    })
    expect(said.toString()).toBe('2001-07-01T12:00:00.000Z')
  })
})
