import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import type { Asked } from '../../../bench/overload/ask-at-rate.ts'
import { rootFolder } from '../../source-files.ts'

// what it comes to on a quiet machine, for 30 s, `npm run bench -- overload` tells
it('answers part of a triple load and refuses the rest, without failures', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(rootFolder, 'bench/overload.ts'),
    '--seconds',
    '2',
    '--rounds',
    '1',
    '--entities',
    '100',
    '--timeout-ms',
    '2000',
    '--json',
  ])
  const { overloads, ratio } = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as {
    overloads: readonly [Asked]
    ratio: { goodput: number }
  }
  const [overload] = overloads
  expect(overload.good).toBeGreaterThan(0)
  expect(overload.refused).toBeGreaterThan(0)
  expect(overload.failed).toBe(0)
  // one that collapses answers next to nothing, or what nobody waits for any more
  expect(ratio.goodput).toBeGreaterThan(0.3)
  expect(overload.late).toBeLessThan(overload.good / 20)
  expect(overload.health.answered).toBeGreaterThan(0)
  expect(overload.health.answered).toBe(overload.health.asked)
}, 120_000)
