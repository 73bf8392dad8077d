import type { ModelProcess } from './model-process.ts'
import { startModelProcess } from './model-process.ts'

/** Model processes. One idle process is kept for the next trial, because starting a process is slow. */
export interface ProcessPool {
  take(): ModelProcess
  /** Takes back a process that has unloaded its model. */
  give(modelProcess: ModelProcess): void
  /** Ends a process. */
  end(modelProcess: ModelProcess): void
  /** Ends all processes. */
  close(): void
}

const idleMs = 10_000

export function createProcessPool(): ProcessPool {
  const all = new Set<ModelProcess>()
  let spare: ModelProcess | null = null
  let idle: NodeJS.Timeout | null = null

  function end(modelProcess: ModelProcess): void {
    all.delete(modelProcess)
    modelProcess.kill()
  }

  function takeSpare(): ModelProcess | null {
    if (idle !== null) clearTimeout(idle)
    const taken = spare
    spare = null
    if (taken?.alive() === true) return taken
    if (taken !== null) end(taken)
    return null
  }

  return {
    take() {
      const modelProcess = takeSpare() ?? startModelProcess()
      all.add(modelProcess)
      return modelProcess
    },
    give(modelProcess) {
      if (spare !== null || !all.has(modelProcess)) return end(modelProcess)
      spare = modelProcess
      idle = setTimeout(() => {
        spare = null
        end(modelProcess)
      }, idleMs).unref()
    },
    end,
    close() {
      if (idle !== null) clearTimeout(idle)
      for (const modelProcess of all) end(modelProcess)
    },
  }
}
