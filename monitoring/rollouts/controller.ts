import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseDuration } from '../../kernel/values/duration.ts'
import { minuteMicros } from '../../kernel/values/time.ts'
import { messageOf } from '../../kernel/errors.ts'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { readModelPins } from '../../registry/models/model-pins.ts'
import { actOnDecision } from '../../registry/rollouts/act-on-decision.ts'
import type { ControllerDecision } from '../../registry/rollouts/act-on-decision.ts'
import { controllerActor, readDecisions } from '../../registry/rollouts/decisions.ts'
import { readRunningRollouts } from '../../registry/rollouts/rollout.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMicros } from '../../runtime/postgres/database-clock.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import type { ReadSecret } from '../alerts/deliver/send-notification.ts'
import type { Evidence } from './decide.ts'
import { decide, storedEvidence } from './decide.ts'
import { gatherGateEvidence, hasPlan } from './gate-evidence.ts'
import type { GateContext } from './gates/gate.ts'

export interface ControllerDeps {
  readonly db: Database
  readonly store: () => Promise<OnlineStore | null>
  readonly catalog: () => Promise<Catalog>
  readonly readSecret: ReadSecret
  /** Whether webhooks may have private addresses. */
  readonly allowPrivate: boolean
  /** Epoch microseconds. */
  readonly clock: () => number
}

/** A rollout that is due sooner waits for so long. */
const pauseMs = 250

/**
 * Advances rollouts that have a plan, or rolls them back. It leaves those of pinned models alone: their candidates get
 * no rows, and a step begins again when its model is unpinned (`registry/models/pin-model.ts`). One worker does it at a
 * time, in jobs of a minute, so another one takes over if it dies.
 */
export function controlRollouts(deps: ControllerDeps): JobKind {
  const { catalog, clock } = deps
  return {
    name: 'rollouts' satisfies JobKindName,
    spec: z.object({}),
    retries: 20,
    backoffSeconds: { from: 1, to: 10 },
    leaseSeconds: 8,
    keepDays: 0,
    async schedules() {
      const controlled = [...(await catalog()).models.values()].some(({ rollout }) => rollout !== null && isControlled(rollout))
      return controlled ? [{ key: 'rollouts', subject: 'rollouts', cron: '* * * * *', spec: {} }] : []
    },
    async run({ moment }, _chunk, { signal, isHeld }) {
      const until = (moment ?? clock()) + minuteMicros
      const dueAt = new Map<number, number>()
      let [looks, acts] = [0, 0]
      const failures = new Map<number, unknown>()
      for (;;) {
        const running = [...(await readRunningRollouts(deps.db.kysely)).values()].filter(isControlled)
        const pins = await readModelPins(deps.db.kysely)
        const due = running.filter(({ id, model }) => !pins.has(model) && (dueAt.get(id) ?? 0) <= clock())
        // another worker may have taken over while this one was slow
        if (due.length > 0 && !(await isHeld())) break
        for (const rollout of due) {
          dueAt.set(rollout.id, clock() + parseDuration(rollout.plan.every))
          looks++
          try {
            const { action, done } = await look(deps, rollout, signal)
            failures.delete(rollout.id)
            if (done && action !== 'hold' && action !== 'not enough evidence') acts++
          } catch (error) {
            if (signal.aborted || isTemporary(error)) throw error
            // it must not keep others from being rolled back
            failures.set(rollout.id, error)
          }
        }
        if (signal.aborted || clock() >= until) break
        // a rollout that starts in this minute has no other job
        await sleep(running.length === 0 ? 4 * pauseMs : pauseMs, undefined, { signal }).catch(() => undefined)
      }
      for (const error of failures.values()) throw error
      return { looks, acts }
    },
    describe: () => 'a minute of the control of rollouts',
  }
}

function isControlled(rollout: Rollout): rollout is GateContext['rollout'] {
  return hasPlan(rollout) && !rollout.paused
}

export type ControllerLook = ControllerDecision & {
  /** False: the rollout has changed meanwhile, and nothing was done. */
  readonly done: boolean
}

/** Gathers evidence about a rollout, decides, and does it. */
export async function look(deps: ControllerDeps, rollout: GateContext['rollout'], signal: AbortSignal): Promise<ControllerLook> {
  const { db, catalog, readSecret, allowPrivate, clock } = deps
  faultPoint('rollout: due')
  const store = await deps.store().catch(() => null)
  // the database says when the step began, so a clock that is ahead must not shorten it
  const now = await sharedNowMicros(db, clock())
  const gathered = { db, store, catalog: await catalog(), readSecret, allowPrivate, now, signal }
  const found = await gatherGateEvidence(gathered, rollout, await lastEvidence(db, rollout))
  faultPoint('rollout: evidence gathered')
  // as a replay reads it
  const stored = JSON.parse(JSON.stringify(found)) as JsonValue
  const decision = decide(rollout.plan, rollout.step ?? 0, storedEvidence(stored))
  faultPoint('rollout: decided')
  const done = await actOnDecision(db, rollout, decision, stored, { beforeCommit: () => faultPoint('rollout: to be committed') }).catch(
    (error: unknown) => {
      throw new Error(`The decision "${decision.action}" about "${rollout.model}@${rollout.version}" failed: ${messageOf(error)}`, {
        cause: error,
      })
    },
  )
  faultPoint('rollout: committed')
  return { ...decision, done }
}

async function lastEvidence(db: Database, { id, revision }: Rollout): Promise<Evidence | null> {
  const [last] = (await readDecisions(db.kysely, id, 2)).filter((each) => each.revision === revision && each.by === controllerActor)
  return last === undefined || last.evidence === null ? null : storedEvidence(last.evidence)
}
