import { workerData } from 'node:worker_threads'

// Ends its process when the parent process is gone. It is a separate thread, because an endless run blocks the main
// thread.
const parent = workerData as number
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}, 500)
