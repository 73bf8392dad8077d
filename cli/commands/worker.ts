import { workOnParts } from '../../offline/shared/work-on-parts.ts'
import type { PartEvent } from '../../offline/shared/work-on-parts.ts'
import type { Command } from '../command.ts'
import { bytes, counted, duration } from '../human.ts'
import { partWorkerTools } from '../part-worker-tools.ts'

export const workerCommand: Command = {
  name: 'worker',
  summary: 'Take parts of exports, of any process on the same database, until it is told to end',
  description: [
    'It writes parts of "dataset create --parts", into the folder of the export: a worker on another machine must reach that under the same path. It needs PostgreSQL.',
    'On SIGINT or SIGTERM it hands back what it is at, for another worker, and exits with 0.',
  ],
  options: { concurrency: { value: 'N', help: 'How many parts at a time, 8 at most. Default: 1.' } },
  example: 'lockstep worker --concurrency 2',
  streams: true,
  async run(context, input) {
    const concurrency = input.count('concurrency', 1, 8) ?? 1
    const tools = await partWorkerTools(context)
    const { terminal, signal } = context
    return {
      json: { worker: tools.worker, concurrency },
      text: `The worker ${tools.worker} waits for parts of exports, ${concurrency} at a time.`,
      async stay() {
        const onEvent = (event: PartEvent): void => {
          if (!terminal.json) terminal.print(eventText(event))
        }
        await Promise.all(Array.from({ length: concurrency }, () => workOnParts(tools, { only: null, signal, onEvent })))
      },
    }
  },
}

function eventText(event: PartEvent): string {
  if (event.kind === 'away') return `Waiting: ${event.message}`
  const { part, parts, service, spine } = event.job
  const what = `part ${part} of ${parts} of ${service.id} (export ${spine.id})`
  switch (event.kind) {
    case 'taken':
      return `Taken: ${what}`
    case 'written':
      return `Written: ${what}, ${counted(event.rows, 'row')}, ${bytes(event.bytes)}, in ${duration(event.seconds * 1000)}`
    case 'handed back':
      return `Handed back: ${what}`
    case 'lost':
      return `Given up: ${what}, which is another's now, or gone`
    case 'refused':
      return `Failed: ${what}`
    default:
      return event satisfies never
  }
}
