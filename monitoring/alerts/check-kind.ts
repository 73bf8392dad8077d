import type { Window } from '../window.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { CheckSpec } from '../../registry/define/check-options.ts'
import type { Severity } from '../../registry/define/severity.ts'
import type { MonitorSpec } from '../../registry/monitor-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { DriftReport } from '../drift/drift-types.ts'
import type { ModelRollup } from '../rollups/model-rollup.ts'
import type { MonitorFinding } from './alert-state.ts'

/** The result of a check about one subject. */
export interface CheckResult {
  /** A view, a feature, a kind of job; of a check with a single subject the name of what the monitor watches. */
  readonly subject: string
  readonly state: MonitorFinding
  /** What was compared with the threshold; null: there is no such number. */
  readonly value: number | null
  readonly threshold: number | null
  /** How many rows, requests or steps it says something about; null: it counts none. */
  readonly n: number | null
  readonly evidence: JsonValue
  /** The likely cause, and what to do; null: it is fine. Of unknown: why nothing is known. Of ok: why no breach. */
  readonly cause: string | null
  /** A sentence about new columns of a subject that breached before: its alert notifies once more. */
  readonly joined?: string | undefined
  /** A value that the next evaluation of the subject gets. */
  readonly memory?: JsonValue | undefined
  /** In place of that of the monitor. */
  readonly severity?: Severity
}

export interface CheckContext {
  readonly db: Database
  /** null: it does not answer. */
  readonly store: OnlineStore | null
  readonly catalog: Catalog
  readonly monitor: MonitorSpec
  /** The part of the past that the evaluation is about, epoch microseconds, [from, to). A retry has the same one. */
  readonly window: Window
  /** The clock of this process, epoch microseconds. */
  readonly clock: () => number
  /** The value that the previous evaluation stored for a subject. */
  memoryOf(subject: string): unknown
  readonly shared: SharedReads
  readonly signal: AbortSignal
}

/** The reads of the checks of one evaluation, by question: two checks with one question read once. */
export interface SharedReads {
  readonly rollups: Map<string, Promise<ModelRollup>>
  /** A text says why there is nothing to compare. */
  readonly driftReports: Map<string, Promise<DriftReport | string>>
}

/** One kind of check. Its options stand in `registry/define/check-options.ts`, which validates definitions. */
export type CheckKind<Spec extends CheckSpec> = (context: CheckContext, spec: Spec) => Promise<readonly CheckResult[]>
