import type { Kysely, RawBuilder } from 'kysely'
import { sql } from 'kysely'
import type { ExperimentSpec } from '../kernel/specs/experiment-spec.ts'
import type { OutcomeSpec } from '../kernel/specs/outcome-spec.ts'
import type { ModelSpec, OnDemandSpec, ServiceSpec } from '../kernel/specs/service-spec.ts'
import type { EntitySpec, SourceSpec, ViewSpec } from '../kernel/specs/view-spec.ts'
import { measuresOf } from '../kernel/specs/experiment-spec.ts'
import type { DefinitionKind, LockstepTables } from '../migrations/schema.ts'
import type { ChannelSpec, MonitorSpec } from './monitor-spec.ts'
import type { PipelineSpec } from './pipeline-spec.ts'
import type { ScheduledBatchSpec } from './scheduled-batch-spec.ts'
import type { TrainingSpec } from './trainings/training-spec.ts'
import type {
  DefinitionSet,
  ExperimentOperational,
  ModelOperational,
  OutcomeOperational,
  SourceOperational,
  ViewOperational,
} from './load/definition-set.ts'

/** One definition, declared in a file or stored in the registry. */
export type Definition = DefinitionBase &
  (
    | { readonly kind: 'entity'; readonly spec: EntitySpec }
    | { readonly kind: 'source'; readonly spec: SourceSpec }
    | { readonly kind: 'view'; readonly spec: ViewSpec }
    | { readonly kind: 'onDemand'; readonly spec: OnDemandSpec }
    | { readonly kind: 'service'; readonly spec: ServiceSpec }
    | { readonly kind: 'model'; readonly spec: ModelSpec }
    | { readonly kind: 'outcome'; readonly spec: OutcomeSpec }
    | { readonly kind: 'channel'; readonly spec: ChannelSpec }
    | { readonly kind: 'monitor'; readonly spec: MonitorSpec }
    | { readonly kind: 'experiment'; readonly spec: ExperimentSpec }
    | { readonly kind: 'batch'; readonly spec: ScheduledBatchSpec }
    | { readonly kind: 'pipeline'; readonly spec: PipelineSpec }
    | { readonly kind: 'training'; readonly spec: TrainingSpec }
  )

interface DefinitionBase {
  readonly name: string
  /** 0 for kinds that have no version: all but views and services. */
  readonly version: number
  readonly fingerprint: string
  readonly operational: Partial<ViewOperational & SourceOperational & ModelOperational & OutcomeOperational & ExperimentOperational>
  /** Pruned from the registry, but remembered: its name and version stay taken. */
  readonly retired: boolean
  /** null: it was stored without a signing key, or is not stored yet. */
  readonly signature: string | null
}

type DefinitionName = Pick<DefinitionBase, 'name' | 'version'> & { readonly kind: DefinitionKind }

/** Identifies a definition of any kind: `view airport_delays@1`, `model delay`. */
export type DefinitionKey = `${DefinitionKind} ${string}`

export function definitionKey(definition: {
  readonly kind: DefinitionKind
  readonly name: string
  readonly version: number
}): DefinitionKey {
  return `${definition.kind} ${labelOf(definition)}`
}

/** `airport_delays@1`, or only the name if there is no version. */
export function labelOf(definition: { readonly name: string; readonly version: number }): string {
  return definition.version === 0 ? definition.name : `${definition.name}@${definition.version}`
}

/** The name of each kind for users. */
export const kindNames: Readonly<Record<DefinitionKind, string>> = {
  entity: 'entity',
  source: 'source',
  view: 'feature view',
  onDemand: 'on-demand view',
  service: 'feature service',
  model: 'model',
  outcome: 'outcome',
  channel: 'channel',
  monitor: 'monitor',
  experiment: 'experiment',
  batch: 'batch',
  pipeline: 'pipeline',
  training: 'training',
}

/** `feature view "airport_delays@1"` */
export function displayName(definition: { readonly kind: DefinitionKind; readonly name: string; readonly version: number }): string {
  return `${kindNames[definition.kind]} "${labelOf(definition)}"`
}

/** The list of each kind in a set of definitions. A definition comes after everything that it can refer to. */
export const kindLists = {
  entity: 'entities',
  source: 'sources',
  view: 'views',
  onDemand: 'onDemand',
  service: 'services',
  model: 'models',
  outcome: 'outcomes',
  channel: 'channels',
  monitor: 'monitors',
  experiment: 'experiments',
  batch: 'batches',
  pipeline: 'pipelines',
  training: 'trainings',
} as const satisfies Readonly<Record<DefinitionKind, keyof DefinitionSet>>

export type KindList = (typeof kindLists)[DefinitionKind]

/** A definition comes after everything that it can refer to. */
export const kindOrder = Object.keys(kindLists) as readonly DefinitionKind[]

/** The version of a definition; 0 for kinds that have none. That of a batch or a pipeline is of its model. */
export function versionOf(kind: DefinitionKind, { version }: { readonly name: string; readonly version?: number | string | null }): number {
  return typeof version === 'number' && ['view', 'onDemand', 'service'].includes(kind) ? version : 0
}

/** All definitions of a file, in `kindOrder`. */
export function declaredDefinitions(set: DefinitionSet): Definition[] {
  return kindOrder.flatMap((kind) =>
    set[kindLists[kind]].map((declared) => {
      const { spec } = declared
      return { kind, name: spec.name, version: versionOf(kind, spec), retired: false, signature: null, ...declared } as Definition
    }),
  )
}

/** Which definitions to read: over the years most versions are retired. */
export type DefinitionScope = 'current' | 'all'

/** All definitions of the registry, retired ones included, in `kindOrder`. */
export async function storedDefinitions(handle: Kysely<LockstepTables>): Promise<Definition[]> {
  return await readDefinitions(handle, sql<boolean>`true`)
}

/** The definitions of the registry that are not retired, in `kindOrder`. */
export async function currentDefinitions(handle: Kysely<LockstepTables>): Promise<Definition[]> {
  return await readDefinitions(handle, sql<boolean>`retired_at is null`)
}

/** Those of these definitions that are retired in the registry. */
export async function retiredAmong(handle: Kysely<LockstepTables>, named: readonly DefinitionName[]): Promise<Definition[]> {
  return await readDefinitions(handle, sql<boolean>`retired_at is not null and ${isAmong(named)}`)
}

/**
 * Those of these definitions that the registry has, retired ones included, and all that they need. Over the years most
 * definitions are retired, so the others are not read.
 *
 * @param needs what a definition needs; default: what it refers to
 */
export async function definitionsReached(
  handle: Kysely<LockstepTables>,
  start: readonly DefinitionKey[],
  needs: (definition: Definition) => readonly DefinitionKey[] = references,
): Promise<Definition[]> {
  const [asked, definitions] = [new Set(start), new Array<Definition>()]
  for (let missing = [...asked]; missing.length > 0;) {
    const found = await readDefinitions(handle, isAmong(missing.map(parsedKey)))
    definitions.push(...found)
    missing = [...new Set(found.flatMap(needs))].filter((key) => !asked.has(key))
    for (const key of missing) asked.add(key)
  }
  return definitions
}

function isAmong(named: readonly DefinitionName[]): RawBuilder<boolean> {
  const [kinds, names, versions] = [named.map(({ kind }) => kind), named.map(({ name }) => name), named.map(({ version }) => version)]
  return sql<boolean>`(kind, name, version) in (select * from unnest(${kinds}::text[], ${names}::text[], ${versions}::int[]))`
}

function parsedKey(key: DefinitionKey): DefinitionName {
  const at = key.indexOf(' ')
  const label = key.slice(at + 1)
  const [, name = label, version = '0'] = /^(.*)@(\d{1,9})$/.exec(label) ?? []
  return { kind: key.slice(0, at) as DefinitionKind, name, version: Number(version) }
}

async function readDefinitions(handle: Kysely<LockstepTables>, condition: RawBuilder<boolean>): Promise<Definition[]> {
  const rows = await handle
    .selectFrom('lockstep.definitions')
    .select(['kind', 'name', 'version', 'fingerprint', 'spec', 'operational', 'retired_at', 'signature'])
    .where(condition)
    .orderBy('name')
    .orderBy('version')
    .execute()
  return rows
    .map(({ retired_at, ...row }) => ({ ...row, retired: retired_at !== null }) as Definition) // the registry's rows are written by apply alone
    .sort((a, b) => kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind))
}

/** The definitions that a definition needs in order to work. */
export function references(definition: Definition): DefinitionKey[] {
  switch (definition.kind) {
    case 'entity':
    case 'source':
    case 'view': // a view carries its entity and source within it
    case 'channel':
      return []
    case 'onDemand':
      return definition.spec.inputs.map((input) =>
        'use' in input ? (`view ${input.use.view}` as const) : (`onDemand ${input.onDemand}` as const),
      )
    case 'service':
      return definition.spec.members.map((member) =>
        member.kind === 'view' ? (`view ${member.use.view}` as const) : (`onDemand ${member.view}` as const),
      )
    case 'model':
      return [`service ${definition.spec.service}`]
    case 'outcome': // it carries its source within it
      return [`model ${definition.spec.model}`]
    case 'monitor':
      return [...watched(definition.spec), ...definition.spec.notify.map((channel) => `channel ${channel}` as const)]
    case 'experiment': // it carries the sources of its metrics within it
      return experimentReferences(definition.spec)
    case 'batch':
    case 'training':
      return [`model ${definition.spec.model}`]
    case 'pipeline':
      return [`source ${definition.spec.source}`, `model ${definition.spec.model}`]
    default:
      return definition satisfies never
  }
}

function watched({ target }: MonitorSpec): DefinitionKey[] {
  if (target.kind === 'model') return [`model ${target.model}`]
  return target.kind === 'view' ? [`view ${target.view}`] : []
}

function experimentReferences({ model, metrics, covariates, slices }: ExperimentSpec): DefinitionKey[] {
  const views = [...covariates, ...slices].map(({ use }): DefinitionKey => `view ${use.view}`)
  const outcomes = metrics
    .flatMap(measuresOf)
    .flatMap(({ of }): DefinitionKey[] => (of.kind === 'outcome' ? [`outcome ${of.outcome}`] : []))
  return [...new Set<DefinitionKey>([`model ${model}`, ...outcomes, ...views])]
}

/** The hash of the definition's stored code, or null. */
export function codeOf(definition: Definition): string | null {
  return definition.kind === 'view' || definition.kind === 'onDemand' || definition.kind === 'outcome' ? definition.spec.code : null
}
