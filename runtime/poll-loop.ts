/** Something that is done again and again. */
export interface Repeated {
  /** Its first run. */
  readonly first: Promise<void>
  /** Runs it at once, or once more where it is running, instead of when it would have been. */
  wake(): void
  /** No run begins any more; waits for the one under way. */
  stop(): Promise<void>
}

/** Runs `task` again and again until stopped: the next run starts `delayMs()` after the last one ended. The timer keeps no process alive. */
export function repeat(task: () => Promise<void>, delayMs: () => number): Repeated {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let busy = false
  let again = false
  let running: Promise<void>

  async function run(): Promise<void> {
    busy = true
    do {
      again = false
      await task()
    } while (again && !stopped)
    busy = false
    if (stopped) return
    timer = setTimeout(start, delayMs())
    timer.unref()
  }

  function start(): void {
    running = run()
  }

  running = run()
  return {
    first: running,
    wake() {
      again = true
      if (busy || stopped) return
      clearTimeout(timer)
      start()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
