import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../postgres/database.ts'
import type { Doing } from './job-kind.ts'
import type { JobNotices } from './job-notices.ts'
import type { ClaimedStep } from './steps.ts'
import { renewLease } from './steps.ts'

/** A claimed step whose lease is renewed until `release`. */
export interface HeldStep {
  /** Aborted when the step is no longer this process's own. */
  readonly lost: AbortSignal
  /** Asks the database whether the step is this process's own, and renews its lease. */
  isHeld(): Promise<boolean>
  /**
   * Notes how far the step is. It is written down with the next heartbeat.
   *
   * @param share null: there is nothing to count
   */
  note(share: number | null, doing: Doing | null): void
  release(): void
}

const maxHeartbeatMs = 2_000

/** Renews the lease of a step, by the clock and when its job ends. */
export function holdStep(db: Database, claimed: ClaimedStep, notices: JobNotices): HeldStep {
  const lost = new AbortController()
  let share: number | null = null
  let doing: Doing | null = null
  const isHeld = (): Promise<boolean> => renewLease(db, claimed, share, doing)

  async function renew(): Promise<void> {
    if (!(await isHeld())) lost.abort(new LockstepError('STOPPED', 'This process no longer owns the step.'))
  }

  function beat(): void {
    // a beat that fails says nothing of the step
    void renew().catch(() => undefined)
  }

  const heart = setInterval(beat, Math.min(maxHeartbeatMs, claimed.leaseSeconds * 300))
  const unwatch = notices.watch(claimed.job.id, beat)
  return {
    lost: lost.signal,
    isHeld,
    note(nextShare, next) {
      const isNew = next?.what !== doing?.what
      share = nextShare
      doing = next
      // a part that takes long shows at once
      if (isNew) beat()
    },
    release() {
      clearInterval(heart)
      unwatch()
    },
  }
}
