import type { Runner } from './model-process.ts'
import { startRunner } from './model-process.ts'

/** Runners, one of which is kept for the next model to be tried, as starting one takes a while. */
export interface Runners {
  take(): Runner
  /** Takes back a runner that has let go of its model. */
  give(runner: Runner): void
  /** Ends a runner. */
  end(runner: Runner): void
  /** Ends them all. */
  close(): void
}

const idleMs = 10_000

export function createRunners(): Runners {
  const all = new Set<Runner>()
  let spare: Runner | null = null
  let idle: NodeJS.Timeout | null = null

  function end(runner: Runner): void {
    all.delete(runner)
    runner.kill()
  }

  function takeSpare(): Runner | null {
    if (idle !== null) clearTimeout(idle)
    const taken = spare
    spare = null
    if (taken?.alive() === true) return taken
    if (taken !== null) end(taken)
    return null
  }

  return {
    take() {
      const runner = takeSpare() ?? startRunner()
      all.add(runner)
      return runner
    },
    give(runner) {
      if (spare !== null || !all.has(runner)) return end(runner)
      spare = runner
      idle = setTimeout(() => {
        spare = null
        end(runner)
      }, idleMs).unref()
    },
    end,
    close() {
      if (idle !== null) clearTimeout(idle)
      for (const runner of all) end(runner)
    },
  }
}
