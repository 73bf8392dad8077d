import { workerData } from 'node:worker_threads'

// Ends its process once the one that started it is gone. A thread of its own, as a run that never returns holds up the other for ever.
const parent = workerData as number
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}, 500)
