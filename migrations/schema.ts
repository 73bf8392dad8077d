import type { ColumnType, Generated } from 'kysely'
import type {
  AlertDeliveriesTable,
  AlertSilencesTable,
  AlertsTable,
  MonitorsTable,
  MonitorStatesTable,
  ServerClocksTable,
} from './alert-tables.ts'
import type { ModelFiguresTable, ParityHoursTable, RowDelaysTable, UiCodesTable, UiSessionsTable } from './dashboard-tables.ts'
import type { PipelineAnswersTable, PipelineMinutesTable, PipelinesTable } from './pipeline-tables.ts'
import type { IngestsTable, SourceFilesTable, StoreWitnessesTable } from './load-tables.ts'
import type { BaselinesTable, MergedRollupsTable, RollupsTable } from './rollup-tables.ts'
import type {
  ExperimentAllocationsTable,
  ExperimentResultsTable,
  ExperimentsTable,
  ExposureRecordersTable,
  ExposuresTable,
} from './experiment-tables.ts'

/**
 * The tables of the schema `lockstep`, as Kysely sees them. Each new column of a migration needs a line here. Columns
 * of the prediction log go to monitoring/prediction-log/columns.ts instead.
 */
export interface LockstepTables {
  'lockstep.definitions': DefinitionsTable
  'lockstep.definition_states': DefinitionStatesTable
  'lockstep.code': CodeTable
  'lockstep.registry_state': RegistryStateTable
  'lockstep.model_versions': ModelVersionsTable
  'lockstep.model_aliases': ModelAliasesTable
  'lockstep.model_events': ModelEventsTable
  'lockstep.model_pins': ModelPinsTable
  'lockstep.rollouts': RolloutsTable
  'lockstep.rollout_decisions': RolloutDecisionsTable
  'lockstep.rollout_counts': RolloutCountsTable
  'lockstep.shadows': ShadowsTable
  'lockstep.experiments': ExperimentsTable
  'lockstep.experiment_allocations': ExperimentAllocationsTable
  'lockstep.experiment_results': ExperimentResultsTable
  'lockstep.exposures': ExposuresTable
  'lockstep.exposure_recorders': ExposureRecordersTable
  'lockstep.materialization_runs': MaterializationRunsTable
  'lockstep.datasets': DatasetsTable
  'lockstep.installation': InstallationTable
  'lockstep.erasures': ErasuresTable
  'lockstep.erasure_states': ErasureStatesTable
  'lockstep.removals': RemovalsTable
  'lockstep.jobs': JobsTable
  'lockstep.job_chunks': JobChunksTable
  'lockstep.online_primaries': OnlinePrimariesTable
  'lockstep.stream_dead_letters': StreamDeadLettersTable
  'lockstep.ingests': IngestsTable
  'lockstep.source_files': SourceFilesTable
  'lockstep.api_keys': ApiKeysTable
  'lockstep.api_key_state': ApiKeyStateTable
  'lockstep.audit_log': AuditLogTable
  'lockstep.idempotency_keys': IdempotencyKeysTable
  'lockstep.set_aside': SetAsideTable
  'lockstep.baselines': BaselinesTable
  'lockstep.rollups': RollupsTable
  'lockstep.merged_rollups': MergedRollupsTable
  'lockstep.monitors': MonitorsTable
  'lockstep.alerts': AlertsTable
  'lockstep.monitor_states': MonitorStatesTable
  'lockstep.alert_silences': AlertSilencesTable
  'lockstep.alert_deliveries': AlertDeliveriesTable
  'lockstep.server_clocks': ServerClocksTable
  'lockstep.store_witnesses': StoreWitnessesTable
  'lockstep.model_figures': ModelFiguresTable
  'lockstep.parity_hours': ParityHoursTable
  'lockstep.row_delays': RowDelaysTable
  'lockstep.ui_codes': UiCodesTable
  'lockstep.ui_sessions': UiSessionsTable
  'lockstep.pipeline_minutes': PipelineMinutesTable
  'lockstep.pipelines': PipelinesTable
  'lockstep.pipeline_answers': PipelineAnswersTable
}

export type DefinitionKind =
  | 'entity'
  | 'source'
  | 'view'
  | 'onDemand'
  | 'service'
  | 'model'
  | 'outcome'
  | 'monitor'
  | 'channel'
  | 'experiment'
  | 'batch'
  | 'pipeline'
  | 'training'

/** `spec` is json, not jsonb, because the order of its fields matters. It is read parsed and written as text. */
type Json = ColumnType<unknown, string, string>

export interface DefinitionsTable {
  kind: DefinitionKind
  name: string
  /** 0 for kinds without versions: all but views and services. */
  version: number
  fingerprint: string
  spec: Json
  /** Fields outside the fingerprint: online, owner, description, tags. */
  operational: Json
  created_at: Generated<Date>
  retired_at: Date | null
  /** HMAC-SHA-256, hex (registry/signatures.ts); null: it was written without a signing key. */
  signature: Generated<string | null>
}

/** Each state that a definition had (registry/definition-states.ts). */
export interface DefinitionStatesTable {
  id: Generated<string>
  kind: DefinitionKind
  name: string
  version: number
  /** From when it held. */
  at: Generated<Date>
  fingerprint: string
  spec: Json
  operational: Json
  retired: boolean
}

export interface CodeTable {
  /** SHA-256 of `body`, hex. */
  hash: string
  body: string
  created_at: Generated<Date>
}

/** One row. `revision` grows with every change to the registry, so that a server notices that it must reload. */
export interface RegistryStateTable {
  only: Generated<boolean>
  revision: number
}

export interface ModelVersionsTable {
  model: string
  version: number
  bytes: Buffer
  sha256: string
  size_bytes: number
  inputs: Json
  outputs: Json
  metadata: Json
  service_name: string
  service_version: number
  service_fingerprint: string
  created_at: Generated<Date>
  /** Metrics and training parameters, by name. */
  metrics: ColumnType<unknown, string | undefined, string>
  params: ColumnType<unknown, string | undefined, string>
  /** The training set, by its full id. */
  dataset: Generated<string | null>
  git_commit: Generated<string | null>
  pushed_by: Generated<string | null>
  /** As that of a definition. */
  signature: Generated<string | null>
}

/** A name that points at a version of a model: `champion` at the one that is served. */
export interface ModelAliasesTable {
  model: string
  alias: string
  version: number
  /** The versions that it pointed at before, the last one last. */
  former: Json
  set_at: Generated<Date>
}

/** The history of model versions and aliases: what changed, by whom and why. Append-only. */
export interface ModelEventsTable {
  id: Generated<string>
  model: string
  action: ModelAction
  alias: string | null
  from_version: number | null
  to_version: number | null
  actor: string
  reason: string | null
  at: Generated<Date>
}

export type ModelAction = 'push' | 'promote' | 'rollback' | 'remove' | 'pin' | 'unpin'

export type RolloutState = 'running' | 'promoted' | 'aborted' | 'rolled back'

export interface RolloutsTable {
  id: Generated<string>
  model: string
  version: number
  state: RolloutState
  share: number
  unit: string
  salt: string
  /** Its steps and gates; null: the share is changed by hand. */
  plan: Generated<unknown>
  /** The index of the step; null: there is no plan. */
  step: Generated<number | null>
  /** Whether the controller leaves it alone. */
  paused: Generated<boolean>
  /** Grows with each change. Evidence is of one revision. */
  revision: Generated<number>
  /** When the revision began. */
  since: Generated<Date>
  started_by: string
  started_at: Generated<Date>
  ended_at: ColumnType<Date | null, Date | null | undefined, Date | null>
}

/** What was decided about rollouts, by whom and on which evidence. */
export interface RolloutDecisionsTable {
  id: Generated<string>
  rollout: string
  /** Of the rollout that it was decided about. */
  revision: number
  step: number | null
  at: Generated<Date>
  /** Of looks that change nothing, the first of equal ones in a row. */
  since: Generated<Date>
  action: string
  decided_by: string
  reasons: Json
  evidence: ColumnType<unknown, string | null, string | null>
  share_before: number | null
  share_after: number | null
}

/** What a server process counts of a rollout's candidate and champion, in one revision. */
export interface RolloutCountsTable {
  rollout: string
  revision: number
  side: 'candidate' | 'champion'
  process: string
  counts: Buffer
}

export interface ShadowsTable {
  id: Generated<string>
  model: string
  version: number
  state: 'running' | 'stopped'
  share: number
  unit: string
  salt: string
  tolerance: number
  started_by: string
  started_at: Generated<Date>
  ended_at: ColumnType<Date | null, Date | null | undefined, Date | null>
}

export interface ModelPinsTable {
  model: string
  version: number
  pinned_at: Generated<Date>
}

export interface MaterializationRunsTable {
  id: Generated<string>
  /** `airport_delays@1` */
  view: string
  fingerprint: string
  /** The identity of the online store that was written (`OnlineStore.identity`). */
  store: string
  /** Arrival interval: rows with `_xid` in [from_xid, to_xid) were read. */
  from_xid: string
  to_xid: string
  /** The moment of the run, epoch microseconds. */
  moment: string
  rows: string
  entities: string
  started_at: Generated<Date>
  finished_at: Date | null
  /** For a source that has a cursor: its column, and the greatest time there that the run saw, epoch microseconds. */
  cursor_column: Generated<string | null>
  cursor_to: Generated<string | null>
  /** Whether the run read all of a source that has a cursor. */
  read_all: Generated<boolean>
  /** The OID of the table that the run read; null where it is unknown, or the run read a query. */
  source_oid: Generated<string | null>
}

export interface DatasetsTable {
  id: string
  service: string
  fingerprint: string
  path: string
  manifest: Json
  created_at: Generated<Date>
}

/** One row. */
export interface InstallationTable {
  only: Generated<boolean>
  /** The salt for the hashes of erased entities' keys. */
  salt: Generated<Buffer>
}

export interface ErasuresTable {
  id: Generated<string>
  entity: string
  /** HMAC-SHA-256 of entity and key under the salt of the installation, hex. */
  key_hash: string
  receipt: Json
  requested_at: Generated<Date>
  finished_at: Date | null
}

/**
 * A state that an erasure has to rebuild, or to remove where it came out empty. Its key is stored in clear until that
 * is done and no failover can undo it.
 */
export interface ErasureStatesTable {
  erasure: string
  view: string
  entity: string
  key: Buffer
  /** The head of the empty state that replaces it; null: it has not been rebuilt yet. */
  emptied: Buffer | null
  /** When the work was done. The row is kept for as long as a failover may undo the work. */
  done_at: Date | null
  /** How often the work was repeated after a failover. */
  reopened: Generated<number>
  /**
   * The parts of the erased key, as text by name: the store is searched for all states of the view whose keys contain
   * them. `key` is empty then. null: the row names one state.
   */
  parts: ColumnType<Record<string, string> | null, string | null | undefined, never>
}

/** A view that left the online store and whose keys are still to be deleted there. */
export interface RemovalsTable {
  view: string
  store: string
  removed: Generated<string>
  requested_at: Generated<Date>
}

/** A piece of work of one kind, which any number of processes share (runtime/jobs). */
export interface JobsTable {
  id: Generated<string>
  kind: string
  /** Its subject, for people: a view, a service. */
  subject: string
  /** Only processes of the same scope may work on it, for example an online store's identity; empty: all may. */
  scope: string
  /** At most one unfinished job exists for each kind, scope and key; null: any number. */
  key: string | null
  /** The instant of its schedule, epoch microseconds: only one job ever exists for each kind, scope, key and moment. */
  moment: string | null
  spec: Json
  /** Data that the chunks share, found by the plan step. */
  plan: ColumnType<unknown, string | null, string | null>
  state: JobState
  /** The steps of its kind besides the chunks. */
  plans: boolean
  finishes: boolean
  cleans: boolean
  /** If the worker of a step sends no heartbeat for this long, another worker takes the step over. */
  lease_seconds: number
  /** How long the job stays in the history after its end. */
  keep_days: number
  chunks: Generated<number>
  chunks_done: Generated<number>
  retries: Generated<number>
  /** `code`, `message` and `details` of the error that it failed with. */
  error: ColumnType<unknown, string | null, string | null>
  result: ColumnType<unknown, string | null, string | null>
  submitted_by: string
  submitted_at: Generated<Date>
  finished_at: Date | null
}

export type JobState = 'running' | 'done' | 'failed' | 'cancelled'

/** A step of a job: its plan, one of its chunks, its end, or the clean-up after a failure. */
export interface JobChunksTable {
  job: string
  step: JobStep
  number: number
  /** `closed`: the job ended before it was done. */
  state: 'open' | 'done' | 'closed'
  /** The work of the step. Null once the step is no longer open, because it may hold keys of entities. */
  data: Json
  attempts: Generated<number>
  /** When a worker may claim it: at once, after a back-off, or when the lease of its worker has run out. */
  claimable_at: Generated<Date>
  /** The worker that holds it now; null: none. */
  claim: string | null
  worker: string | null
  /** From 0 to 1, as the worker reports. */
  progress: number | null
  /** What the worker is at within the step, as it reports. */
  doing: ColumnType<unknown, string | null, string | null>
  result: ColumnType<unknown, string | null, string | null>
  /** The error of its last attempt. */
  error: ColumnType<unknown, string | null, string | null>
  finished_at: Date | null
}

export type JobStep = 'plan' | 'chunk' | 'finish' | 'clean'

/** One row for each server that held an online store when it was last checked (`OnlineStore.primaries`). */
export interface OnlinePrimariesTable {
  /** `OnlineStore.identity` */
  store: string
  id: string
}

/** Stream messages that could not be turned into rows. */
export interface StreamDeadLettersTable {
  id: Generated<string>
  source: string
  /** `redis:landings` */
  stream: string
  /** The message's id in its stream. */
  message: string
  /** The first 64 KB; null: there is none. */
  body: Buffer | null
  size_bytes: number | null
  reason: string
  error: string
  at: Generated<Date>
}

export interface ApiKeysTable {
  id: string
  name: string
  /** SHA-256 of the key. */
  hash: Buffer
  scopes: string[]
  /** null: no limit. */
  requests_per_second: number | null
  rows_per_second: number | null
  created_at: Generated<Date>
  expires_at: Date | null
  revoked_at: Date | null
  /** Accurate to a minute. */
  last_used_at: Date | null
  /** The key that replaces it. */
  replaced_by: string | null
}

/** One row. `revision` grows with every change to a key that servers must notice. */
export interface ApiKeyStateTable {
  only: Generated<boolean>
  revision: number
}

/** The audit log. Append-only, and deleted after a retention period (runtime/audit.ts). */
export interface AuditLogTable {
  id: Generated<string>
  at: Generated<Date>
  /** `user@host`, or the id of an API key. */
  actor: string
  /** The name of that key at the time. */
  actor_name: string | null
  action: string
  subject: string
  before: ColumnType<unknown, string | null, never>
  after: ColumnType<unknown, string | null, never>
  reason: string | null
  request_id: string | null
}

/**
 * Requests with an idempotency key, by the API key that they came with and the client's own key
 * (serving/traffic/idempotency.ts).
 */
export interface IdempotencyKeysTable {
  owner: string
  key: string
  fingerprint: string
  /** The process that executes the request. */
  claim: string
  created_at: Generated<Date>
  busy_until: Date
  /** The status of its answer; null while it is running. */
  status: number | null
  content_type: string | null
  body: Buffer | null
}

export interface SetAsideTable {
  view: string
  store: string
  /** The name of the view's entity. */
  entity: string
  key: Buffer
  code: string
  message: string
  since: Generated<Date>
  tried_at: Generated<Date>
}
