import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

it('keeps V8 from allocating literals in old space, which it does by default', async () => {
  const told = async (by: string) => {
    const script = join(import.meta.dirname, 'v8-flags-process.ts')
    const options = ['--max-semi-space-size=1', '--trace-pretenuring-statistics', script, by]
    return (await promisify(execFile)(process.execPath, options, { maxBuffer: 1 << 26 })).stdout
  }
  // where this is no more, V8 may be left to itself
  expect(await told('default')).toMatch(/undecided => tenure/)
  const young = await told('young')
  expect(young).toContain('200000 objects')
  expect(young).not.toContain('=> tenure')
})

it('makes the young generation grow eightfold, where V8 doubles it by default', async () => {
  /** The greatest growth in one step. */
  const growth = async (by: string) => {
    const script = join(import.meta.dirname, 'v8-flags-process.ts')
    const { stdout } = await promisify(execFile)(process.execPath, ['--min-semi-space-size=1', '--max-semi-space-size=8', script, by])
    const sizes = JSON.parse(/sizes (.+)/.exec(stdout)?.[1] ?? '[]') as number[]
    return Math.max(...sizes.slice(1).map((size, step) => size / (sizes[step] as number)))
  }
  expect([await growth('default'), await growth('fast')]).toEqual([2, 8])
})
