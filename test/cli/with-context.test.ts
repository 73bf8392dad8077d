import { expect, it } from 'vitest'
import { createContext } from '../../cli/context.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { loadConfig } from '../../runtime/config.ts'

/** A context with something open, whose closing fails on request. */
function opened(failing: boolean) {
  const context = createContext(loadConfig({ LOCKSTEP_LOG_LEVEL: 'silent' }), createTerminal(true), new AbortController().signal)
  let closed = 0
  context.add('thing', async () => {
    closed++
    if (failing) throw new Error('stuck')
  })
  return { context, closed: () => closed }
}

it('work that fails is reported, even if closing fails after it', async () => {
  for (const failing of [false, true]) {
    const { context, closed } = opened(failing)
    await expect(withContext(context, () => Promise.reject(new Error('no such table')))).rejects.toThrow('no such table')
    expect(closed()).toBe(1)
  }
})

it('finished work is reported only after everything is closed', async () => {
  const fine = opened(false)
  expect(await withContext(fine.context, async () => fine.closed())).toBe(0)
  expect(fine.closed()).toBe(1)
  await expect(withContext(opened(true).context, async () => 1)).rejects.toThrow('"thing" (stuck)')
})
