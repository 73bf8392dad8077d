import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { ReadSecret } from '../alerts/deliver/send-notification.ts'
import { comparedCounts } from './compared-counts.ts'
import type { Evidence } from './decide.ts'
import { gatherGate } from './gates/all-gates.ts'
import type { GateContext } from './gates/gate.ts'
import { takenMicros } from './gates/gate.ts'

export interface EvidenceDeps {
  readonly db: Database
  /** null: it does not answer. */
  readonly store: OnlineStore | null
  readonly catalog: Catalog
  readonly readSecret: ReadSecret
  readonly allowPrivate: boolean
  /** Epoch microseconds. */
  readonly now: number
  readonly signal: AbortSignal
}

/**
 * Gathers what the gates of a rollout judge, since its step began. A gate whose evidence cannot be gathered hides no
 * other.
 *
 * @param before the evidence of the last look in this step; null: there is none
 * @throws temporary failures, as when a database is down
 */
export async function gatherGateEvidence(deps: EvidenceDeps, rollout: GateContext['rollout'], before: Evidence | null): Promise<Evidence> {
  const { db, catalog, now, signal } = deps
  const model = catalog.model(rollout.model)
  const champion = pickVersion({ ...model, pin: null }).version
  const since = rollout.since.getTime() * 1000
  const from = since + takenMicros
  const counts = await comparedCounts(db, model, rollout, champion, { from, to: now })
  const context: GateContext = { ...deps, model, rollout, champion, counts, from }
  const gates: (JsonValue | null)[] = []
  const failures: (string | null)[] = []
  for (const [i, spec] of rollout.plan.gates.entries()) {
    signal.throwIfAborted()
    try {
      gates.push(await gatherGate(context, spec, before?.gates[i] ?? null))
      failures.push(null)
    } catch (error) {
      if (signal.aborted || isTemporary(error) || !(error instanceof LockstepError)) throw error
      gates.push(null)
      failures.push(messageOf(error))
    }
  }
  const { rows, bypasses, bypassedRows } = counts.candidate
  return { micros: now - since, rows, bypasses, bypassedRows, gates, failures }
}

export function hasPlan(rollout: Rollout): rollout is GateContext['rollout'] {
  return rollout.plan !== null
}
