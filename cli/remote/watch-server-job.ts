import { setTimeout } from 'node:timers/promises'
import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { JobAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import { jobAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import type { Context } from '../context.ts'
import { jobProgress } from '../watch-job.ts'
import type { Server } from './server.ts'

const pollMs = 500

/**
 * Shows the progress of a server's job until it is done.
 *
 * @param label the text of the progress bar: `Exporting fraud_features@1`
 * @param work what the server does, for the message of a command that is stopped: `write the training set`
 * @returns the job, which is done
 * @throws LockstepError what the job failed with; `STOPPED`
 */
export async function watchServerJob(
  context: Context,
  server: Server,
  id: number,
  { label, work }: { readonly label: string; readonly work: string },
): Promise<JobAnswer> {
  const progress = jobProgress(context.terminal, label)
  try {
    for (;;) {
      const job = await server.ask('GET', `/v1/jobs/${id}`, undefined, jobAnswer)
      progress.update(job)
      if (job.state === 'done') return job
      if (job.state !== 'running') {
        const { code, message } = job.error ?? { code: 'STOPPED', message: `The job ${id} was ${job.state}.` }
        // the codes of the server are those of this version
        throw new LockstepError(code as ErrorCode, message, { details: { job: id, server: server.url } })
      }
      await setTimeout(pollMs, undefined, { signal: context.signal })
    }
  } catch (error) {
    if (!context.signal.aborted) throw error
    throw new LockstepError('STOPPED', `The server continues to ${work}, as job ${id}: GET ${server.url}/v1/jobs/${id} shows it.`, {
      cause: context.signal.reason,
      details: { job: id },
    })
  } finally {
    progress.end()
  }
}
