import { addAbortSignal } from 'node:stream'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { openPlan } from '../../serving/engines/engine-plan.ts'
import type { PartitionOutput } from '../../serving/engines/run-partition.ts'
import { runFinish, runPass } from '../../serving/engines/run-partition.ts'
import type { Command } from '../command.ts'

export const partitionCommand: Command = {
  name: 'partition',
  summary: 'Compute features of ordered rows from standard input, for an engine such as Spark',
  description: [
    'Reads an Arrow IPC stream and writes another one. It needs no database and no settings.',
    'The input of a pass has the rows of sources and the questions together, ordered by key, time and tag. --finish computes the features of the service, and predictions, from the joined answers of all passes. docs/engines.md describes the columns.',
    'After an error, the output lacks the end mark of an Arrow stream.',
  ],
  options: {
    plan: { value: 'FILE', help: 'The file that "lockstep export-plan" wrote.', needed: true },
    pass: { value: 'N', help: 'The pass of the plan that the rows are of. Default: 0.' },
    finish: { help: 'Instead of a pass: the last step.' },
  },
  streams: true,
  settings: false,
  example: 'lockstep partition --plan plan.lockstep < rows.arrows > answers.arrows',
  async run({ signal, log }, input) {
    const [pass, finish] = [input.count('pass', 0), input.flag('finish')]
    if (finish && pass !== undefined) throw new LockstepError('USAGE', 'Give "--pass N" or "--finish", not both.')
    const plan = await openPlan(input.needed('plan'))
    const rows = stdin(signal)
    const counted = finish ? await runFinish(plan, rows, stdout, { signal, log }) : await runPass(plan, pass ?? 0, rows, stdout, signal)
    return { json: { rows: counted }, text: '', printed: true }
  },
}

async function* stdin(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of addAbortSignal(signal, process.stdin)) yield chunk as Uint8Array
  } catch (cause) {
    signal.throwIfAborted()
    throw new LockstepError('FILE_UNREADABLE', `Standard input cannot be read: ${messageOf(cause)}.`, { cause })
  }
}

const stdout: PartitionOutput = {
  write: (bytes) =>
    new Promise((resolve, reject) => {
      process.stdout.write(bytes, (cause) => {
        if (cause === undefined || cause === null) return resolve()
        const advice = 'Its reader has ended. Look at the reader for the reason'
        reject(new LockstepError('WRITE_FAILED', `Standard output cannot be written: ${messageOf(cause)}. ${advice}.`, { cause }))
      })
    }),
}
