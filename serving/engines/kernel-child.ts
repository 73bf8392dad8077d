import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { runKernelTask } from '../../offline/duckdb/kernel-task.ts'
import { limitHeapGrowth } from '../../runtime/v8-flags.ts'
import { openPlan } from './engine-plan.ts'
import type { KernelCall, KernelReply } from './kernel-processes.ts'

// Answers the questions of a share of the keys, for the process that forked it, and ends.

const progressIntervalMs = 200

limitHeapGrowth()
process.on('disconnect', () => process.exit(1))
// a terminal sends it to parent and child alike: the parent decides
process.on('SIGINT', () => undefined)
process.once('message', (call: KernelCall) => void answer(call))

async function answer({ plan, task }: KernelCall): Promise<void> {
  let reported = performance.now()
  const onAnswers = (done: number): void => {
    if (performance.now() - reported < progressIntervalMs) return
    reported = performance.now()
    void reply({ done })
  }
  try {
    await reply({ chunks: await runKernelTask((await openPlan(plan)).service, task, onAnswers) })
  } catch (error) {
    const { code, details } = error instanceof LockstepError ? error : { code: 'INTERNAL' as const, details: {} }
    await reply({ error: { code, message: messageOf(error), details } })
  }
  process.exit()
}

function reply(message: KernelReply): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()))
}
