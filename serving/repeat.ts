/** Runs `task` again and again until stopped: the next run starts `delayMs()` after the last one ended. The timer keeps no process alive. */
export function repeat(task: () => Promise<void>, delayMs: () => number): { readonly first: Promise<void>; stop(): Promise<void> } {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let running: Promise<void>

  async function once(): Promise<void> {
    await task()
    if (stopped) return
    timer = setTimeout(() => {
      running = once()
    }, delayMs())
    timer.unref()
  }

  running = once()
  return {
    first: running,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
