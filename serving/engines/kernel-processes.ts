import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { servedTime } from '../../kernel/view-plan.ts'
import type { KernelProcesses, KernelTask } from '../../offline/duckdb/kernel-task.ts'
import type { ResultChunk } from '../../offline/result-buckets.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { exportPlan } from './export-plan.ts'

/** The only message to a process. */
export interface KernelCall {
  /** The path of a plan file. */
  readonly plan: string
  readonly task: KernelTask
}

/** The messages of a process: its progress, and then either the end or an error. */
export type KernelReply =
  | { readonly done: number }
  | { readonly chunks: readonly ResultChunk[] }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: Readonly<Record<string, unknown>> } }

const script = fileURLToPath(new URL(`./kernel-child${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))

/** Processes of this machine that fold the rows of a join, one for each core. A plan file replaces the database. */
export function createKernelProcesses(db: Database, catalog: Catalog): KernelProcesses {
  return {
    max: availableParallelism(),
    async run(service, tasks, { signal, onAnswers }) {
      const folder = await mkdtemp(join(tmpdir(), 'lockstep-plan-'))
      const plan = join(folder, 'plan.lockstep')
      const children: ChildProcess[] = []
      const done = tasks.map(() => 0)
      try {
        // each task has its own rule
        const rule = { rule: servedTime, bound: 'at', knownBefore: null } as const
        await writeFile(plan, (await exportPlan(db, catalog, { service: service.id, rule })).bytes)
        signal?.throwIfAborted()
        const answers = tasks.map((task, i) => {
          const child = fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
          children.push(child)
          return answerOf(child, { plan, task }, signal, (now) => {
            done[i] = now
            onAnswers(done.reduce((sum, each) => sum + each, 0))
          })
        })
        return await Promise.all(answers)
      } finally {
        await Promise.all(children.map(end))
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}

function answerOf(
  child: ChildProcess,
  call: KernelCall,
  signal: AbortSignal | undefined,
  onDone: (done: number) => void,
): Promise<readonly ResultChunk[]> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal?.reason as Error)
    signal?.addEventListener('abort', abort, { once: true })
    child.on('message', (reply: KernelReply) => {
      if ('done' in reply) onDone(reply.done)
      else if ('chunks' in reply) resolve(reply.chunks)
      else reject(new LockstepError(reply.error.code, reply.error.message, { details: reply.error.details }))
    })
    child.on('error', reject)
    child.on('exit', (code, by) => {
      signal?.removeEventListener('abort', abort)
      reject(
        new LockstepError(
          'INTERNAL',
          `A process that computes features has ended with ${by ?? code}. If the system was short of memory, use fewer processes (--workers) or less memory (--memory).`,
        ),
      )
    })
    child.send(call)
  })
}

/** Ends a process that still runs, and waits until it is gone. */
async function end(child: ChildProcess): Promise<void> {
  // one that could not be started has no id, and never exits
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}
