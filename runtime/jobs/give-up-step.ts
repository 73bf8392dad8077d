import { LockstepError, withoutStop } from '../../kernel/errors.ts'
import { capitalized } from '../../kernel/values/capitalized.ts'
import { sleep } from '../async.ts'
import { isDiskFull, isOutage, isTemporary } from '../is-temporary.ts'
import type { Database } from '../postgres/database.ts'
import { asLockstepError } from '../postgres/postgres-unavailable.ts'
import { endJob } from './end-job.ts'
import type { HeldStep } from './hold-step.ts'
import type { JobError, JobKind } from './job-kind.ts'
import type { ClaimedStep } from './steps.ts'
import { handBack, stepName } from './steps.ts'

/** How long it waits between attempts to write down a failure, while the database is down. */
const databaseDownMs = 2_000
/** How long a step waits for the end of an outage before its attempts count. */
const maxOutageSeconds = 86_400
/**
 * How long a clean that failed waits at most. It is retried until its job is forgotten, or somebody retries the job.
 */
const maxCleanSeconds = 3_600
/** A step that is handed back as its worker was asked to end is for others at once. */
const atOnce = { delaySeconds: 0, refund: true }

interface Failure {
  readonly error: unknown
  readonly held: Pick<HeldStep, 'lost' | 'isHeld'>
  /** Ends the work of this process. */
  readonly signal: AbortSignal
}

/** `failed`: the job has failed with it. `lost`: the step is another worker's, or the job has ended. */
type GivenUp = 'handed back' | 'failed' | 'lost'

/**
 * Hands back a step that failed, or fails its job. While the database is down it waits: a lease that runs out would use
 * up an attempt.
 */
export async function giveUpStep(db: Database, kind: JobKind, claimed: ClaimedStep, failure: Failure): Promise<GivenUp> {
  for (;;) {
    try {
      return await giveUpOnce(db, kind, claimed, failure)
    } catch (error) {
      if (failure.signal.aborted || !isTemporary(error)) return 'handed back' // the lease runs out, and another takes it
      await sleep(databaseDownMs, { signal: failure.signal })
    }
  }
}

async function giveUpOnce(db: Database, kind: JobKind, claimed: ClaimedStep, { error, held, signal }: Failure): Promise<GivenUp> {
  if (signal.aborted) {
    await handBack(db, claimed, { ...atOnce, error: { code: 'STOPPED', message: 'its worker was stopped' } })
    return 'handed back'
  }
  if (held.lost.aborted || !(await held.isHeld())) return 'lost'
  const since = isOutage(error) ? outageStart(claimed) : null
  const waitedSeconds = since === null ? 0 : (Date.now() - since) / 1000
  const isClean = claimed.step === 'clean'
  const refund = !isClean && since !== null && waitedSeconds < maxOutageSeconds
  const why = errorOf(error, since)
  const isFinal = error instanceof UsedUp || (kind.isFinal ?? endsJob)(error)
  if (!isClean && (isFinal || (!refund && claimed.attempt >= kind.retries))) {
    await endJob(db, claimed.job.id, 'failed', { error: isFinal ? why : givenUp(claimed, why) })
    return 'failed'
  }
  const { from, to } = kind.backoffSeconds
  const delaySeconds = refund ? Math.max(from, waitedSeconds) : from * 2 ** Math.min(claimed.attempt, 30)
  await handBack(db, claimed, { delaySeconds: Math.min(isClean ? maxCleanSeconds : to, delaySeconds), refund, error: why })
  return 'handed back'
}

/** When the outage began for which the attempt before failed, too; else now. */
function outageStart({ lastError }: ClaimedStep): number {
  const since = lastError?.details?.['waitingSince']
  return typeof since === 'string' ? Date.parse(since) : Date.now()
}

/** Whether another process would fail in the same way. */
function endsJob(error: unknown): boolean {
  return error instanceof LockstepError && error.code !== 'INTERNAL' && !isTemporary(error) && !isDiskFull(error)
}

/** A step whose workers died as often as it may be tried. */
export class UsedUp extends LockstepError {
  constructor(claimed: ClaimedStep) {
    const { code, message, details } = givenUp(claimed, claimed.lastError, -1)
    super(code, message, { details: { ...details } })
  }
}

function givenUp(claimed: ClaimedStep, why: JobError | null, more = 0): JobError {
  const times = claimed.attempt + 1 + more
  const reason = why === null ? 'its worker stopped responding' : withoutStop(why.message)
  return {
    code: why?.code ?? 'INTERNAL',
    message: `${capitalized(stepName(claimed))} failed ${times} times: ${reason}. See the logs of the workers, then retry the job: "lockstep job retry ${claimed.job.id}".`,
    details: { ...why?.details, reason: why?.message ?? reason, attempts: times },
  }
}

function errorOf(error: unknown, since: number | null): JobError {
  const { code, message, details } = asLockstepError(error)
  return { code, message, details: since === null ? details : { ...details, waitingSince: new Date(since).toISOString() } }
}
