import type { ColumnType, Generated } from 'kysely'

/**
 * The tables of the schema `lockstep`, as Kysely sees them. A column that a migration adds is a line here, or, where it
 * is of the prediction log, in monitoring/prediction-log/columns.ts.
 */
export interface LockstepTables {
  'lockstep.definitions': DefinitionsTable
  'lockstep.code': CodeTable
  'lockstep.registry_state': RegistryStateTable
  'lockstep.model_versions': ModelVersionsTable
  'lockstep.model_aliases': ModelAliasesTable
  'lockstep.model_events': ModelEventsTable
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
  'lockstep.api_keys': ApiKeysTable
  'lockstep.api_key_state': ApiKeyStateTable
  'lockstep.audit_log': AuditLogTable
  'lockstep.idempotency_keys': IdempotencyKeysTable
  'lockstep.set_aside': SetAsideTable
}

export type DefinitionKind = 'entity' | 'source' | 'view' | 'onDemand' | 'service' | 'model'

/**
 * `spec` is json, not jsonb: the order of its fields is part of what it says. It is read parsed and written as text.
 */
type Json = ColumnType<unknown, string, string>

export interface DefinitionsTable {
  kind: DefinitionKind
  name: string
  /** 0 for what has no version: entities, sources and models. */
  version: number
  fingerprint: string
  spec: Json
  /** Fields outside the fingerprint: online, owner, description. */
  operational: Json
  created_at: Generated<Date>
  retired_at: Date | null
  /** HMAC-SHA-256, hex (registry/signatures.ts); null: it was written without a signing key. */
  signature: Generated<string | null>
}

export interface CodeTable {
  /** SHA-256 of `body`, hex. */
  hash: string
  body: string
  created_at: Generated<Date>
}

/**
 * One row; `revision` grows with every change to the registry, so that a server sees that there is something to load.
 */
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
  /** Numbers that it was judged by, and what it was trained with, by name. */
  metrics: ColumnType<unknown, string | undefined, string>
  params: ColumnType<unknown, string | undefined, string>
  /** The training set, by its whole id. */
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
  /** A list: the versions that it pointed at before, the last one last. */
  former: Json
  set_at: Generated<Date>
}

/** What was done to the versions and aliases of models, by whom and why. Only added to. */
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

export type ModelAction = 'push' | 'promote' | 'rollback' | 'remove'

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
  /** Of a source that has a cursor: its column, and the greatest time there that the run saw, epoch microseconds. */
  cursor_column: Generated<string | null>
  cursor_to: Generated<string | null>
  /** Whether it read all of a source that has a cursor. */
  read_all: Generated<boolean>
  /** The OID of the table that it read; null where it is not known, or a query was read. */
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
  /** What the keys of erased entities are hashed with. */
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
 * A state that an erasure has to make anew, or to remove where it came out empty. Its key is here in clear, until that
 * is done and no failover can undo it.
 */
export interface ErasureStatesTable {
  erasure: string
  view: string
  entity: string
  key: Buffer
  /** The head of the empty state that stands in its place; null: it was not made anew yet. */
  emptied: Buffer | null
  /** When it was done; kept for as long as a failover may undo it. */
  done_at: Date | null
  /** How often a failover has had it done again. */
  reopened: Generated<number>
}

/** A view that left the online store, whose keys are still to be deleted there. */
export interface RemovalsTable {
  view: string
  store: string
  removed: Generated<string>
  requested_at: Generated<Date>
}

/** A piece of work of one kind, which any number of processes do together (runtime/jobs). */
export interface JobsTable {
  id: Generated<string>
  kind: string
  /** What it is about, for people: a view, a service. */
  subject: string
  /** Only processes of the same scope may do it, as an online store's identity; empty: all may. */
  scope: string
  /** Of one kind, scope and key, one job is unfinished at most; null: any number. */
  key: string | null
  /** The instant of its schedule, epoch microseconds: of one kind, scope, key and moment there is one job ever. */
  moment: string | null
  spec: Json
  /** What the chunks share, found out by the plan step. */
  plan: ColumnType<unknown, string | null, string | null>
  state: JobState
  /** Which steps its kind has, beside its chunks. */
  plans: boolean
  finishes: boolean
  cleans: boolean
  /** A step whose worker is not heard of for so long goes to another. */
  lease_seconds: number
  /** How long it stays in the history after its end. */
  keep_days: number
  chunks: Generated<number>
  chunks_done: Generated<number>
  /** `code`, `message` and `details` of what it failed with. */
  error: ColumnType<unknown, string | null, string | null>
  result: ColumnType<unknown, string | null, string | null>
  submitted_by: string
  submitted_at: Generated<Date>
  finished_at: Date | null
}

export type JobState = 'running' | 'done' | 'failed' | 'cancelled'

/** A step of a job: its plan, one of its chunks, its end, or what removes leftovers after a failure. */
export interface JobChunksTable {
  job: string
  step: JobStep
  number: number
  /** `closed`: the job ended before it was done. */
  state: 'open' | 'done' | 'closed'
  /** What is to be done; null once it is no longer open, as it may hold keys of entities. */
  data: Json
  attempts: Generated<number>
  /** When it may be claimed: at once, after a back-off, or when the lease of its worker has run out. */
  claimable_at: Generated<Date>
  /** Whose it is now; null: nobody's. */
  claim: string | null
  worker: string | null
  /** From 0 to 1, as far as its worker says. */
  progress: number | null
  result: ColumnType<unknown, string | null, string | null>
  /** What its last attempt failed with. */
  error: ColumnType<unknown, string | null, string | null>
  finished_at: Date | null
}

export type JobStep = 'plan' | 'chunk' | 'finish' | 'clean'

/** One row for each server that held an online store when it was last looked at (`OnlineStore.primaries`). */
export interface OnlinePrimariesTable {
  /** `OnlineStore.identity` */
  store: string
  id: string
}

/** Messages of streams that no row could be made of. */
export interface StreamDeadLettersTable {
  id: Generated<string>
  source: string
  /** `redis:landings` */
  stream: string
  /** As the stream calls the message. */
  message: string
  /** The first 64 KB; null: there is none. */
  body: Buffer | null
  size_bytes: number | null
  reason: string
  error: string
  at: Generated<Date>
}

/** A file that was loaded into the table of a source, in one transaction, which its rows name in `_xid`. */
export interface IngestsTable {
  id: Generated<string>
  source: string
  /** The table, quoted, with its schema. */
  relation: string
  path: string
  sha256: string
  every: number
  /** Whether it was allowed although the same file was loaded before. */
  again: boolean
  /** The columns by which rows were told apart; empty: none. */
  key: string[]
  rows: string
  /** Rows that were not loaded, as their keys were there. */
  already: string
  xid: string
  actor: string
  at: Generated<Date>
  /** Its rows are deleted; states are not made anew yet. */
  undoing_at: Date | null
  undone_at: Date | null
}

export interface ApiKeysTable {
  id: string
  name: string
  /** SHA-256 of the key. */
  hash: Buffer
  scopes: string[]
  /** null: without a limit. */
  requests_per_second: number | null
  rows_per_second: number | null
  created_at: Generated<Date>
  expires_at: Date | null
  revoked_at: Date | null
  /** To within a minute. */
  last_used_at: Date | null
  /** The key that was made in its place. */
  replaced_by: string | null
}

/** One row; `revision` grows with every change to a key that matters to a server. */
export interface ApiKeyStateTable {
  only: Generated<boolean>
  revision: number
}

/** Who changed what. Only added to, and forgotten after a time (runtime/audit.ts). */
export interface AuditLogTable {
  id: Generated<string>
  at: Generated<Date>
  /** `user@host`, or the id of an API key. */
  actor: string
  /** The name of that key when it was. */
  actor_name: string | null
  action: string
  subject: string
  before: ColumnType<unknown, string | null, never>
  after: ColumnType<unknown, string | null, never>
  reason: string | null
  request_id: string | null
}

/**
 * Requests that a client marked, by the API key that they came with and the client's own key
 * (serving/traffic/idempotency.ts).
 */
export interface IdempotencyKeysTable {
  owner: string
  key: string
  fingerprint: string
  /** Who does it. */
  claim: string
  created_at: Generated<Date>
  busy_until: Date
  /** Of its answer; null while it is under way. */
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
