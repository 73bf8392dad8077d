import { partJobs } from '../../offline/shared/part-jobs.ts'
import { workOnJobs } from '../../runtime/work-on-jobs.ts'
import type { Command } from '../command.ts'
import { logJobs } from '../log-jobs.ts'
import { partWorkerTools } from '../part-worker-tools.ts'

export const workerCommand: Command = {
  name: 'worker',
  summary: 'Take parts of exports, of any process on the same database, until it is told to end',
  description: [
    'It writes parts of "dataset create --parts", into the folder of the export: a worker on another machine must reach that under the same path. It needs PostgreSQL.',
    'What it takes and does is logged. On SIGINT or SIGTERM it hands back what it is at, for another worker, and exits with 0.',
  ],
  options: { concurrency: { value: 'N', help: 'How many parts at a time, 8 at most. Default: 1.' } },
  example: 'lockstep worker --concurrency 2',
  streams: true,
  async run(context, input) {
    const concurrency = input.count('concurrency', 1, 8) ?? 1
    const tools = await partWorkerTools(context)
    const options = { kinds: [partJobs(tools)], signal: context.signal, onEvent: logJobs(context.log) }
    return {
      json: { worker: tools.worker, concurrency },
      text: `The worker ${tools.worker} waits for parts of exports, ${concurrency} at a time.`,
      stay: async () => void (await Promise.all(Array.from({ length: concurrency }, () => workOnJobs(tools.jobs, options)))),
    }
  },
}
