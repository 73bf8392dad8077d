import { afterAll } from 'vitest'

/** The callbacks that run after this test file. Kept globally, because Vitest loads this module again for each file. */
const ends: (() => unknown)[] = ((globalThis as { lockstepEnds?: typeof ends }).lockstepEnds ??= [])

/**
 * Runs `end` after the test file that is running, the last one first. A helper's own `afterAll` would run only after
 * the first file of a process, because the files of a process share its modules.
 */
export function afterFile(end: () => unknown): void {
  ends.push(end)
}

afterAll(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})
