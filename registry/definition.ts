import type { Kysely } from 'kysely'
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

/** A definition comes after everything that it can refer to. */
export const kindOrder: readonly DefinitionKind[] = [
  'entity',
  'source',
  'view',
  'onDemand',
  'service',
  'model',
  'outcome',
  'channel',
  'monitor',
  'experiment',
  'batch',
  'pipeline',
  'training',
]

/** All definitions of a file, in `kindOrder`. */
export function declaredDefinitions(set: DefinitionSet): Definition[] {
  const fresh = { retired: false, signature: null }
  const unversioned = { version: 0, ...fresh }
  return [
    ...set.entities.map(({ spec, ...rest }) => ({ kind: 'entity', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.sources.map(({ spec, ...rest }) => ({ kind: 'source', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.views.map(({ spec, ...rest }) => ({ kind: 'view', name: spec.name, version: spec.version, ...fresh, spec, ...rest }) as const),
    ...set.onDemand.map(
      ({ spec, ...rest }) => ({ kind: 'onDemand', name: spec.name, version: spec.version, ...fresh, spec, ...rest }) as const,
    ),
    ...set.services.map(
      ({ spec, ...rest }) => ({ kind: 'service', name: spec.name, version: spec.version, ...fresh, spec, ...rest }) as const,
    ),
    ...set.models.map(({ spec, ...rest }) => ({ kind: 'model', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.outcomes.map(({ spec, ...rest }) => ({ kind: 'outcome', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.channels.map(({ spec, ...rest }) => ({ kind: 'channel', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.monitors.map(({ spec, ...rest }) => ({ kind: 'monitor', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.experiments.map(({ spec, ...rest }) => ({ kind: 'experiment', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.batches.map(({ spec, ...rest }) => ({ kind: 'batch', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.pipelines.map(({ spec, ...rest }) => ({ kind: 'pipeline', name: spec.name, ...unversioned, spec, ...rest }) as const),
    ...set.trainings.map(({ spec, ...rest }) => ({ kind: 'training', name: spec.name, ...unversioned, spec, ...rest }) as const),
  ]
}

/** All definitions of the registry, retired ones included, in `kindOrder`. */
export async function storedDefinitions(handle: Kysely<LockstepTables>): Promise<Definition[]> {
  const rows = await handle
    .selectFrom('lockstep.definitions')
    .select(['kind', 'name', 'version', 'fingerprint', 'spec', 'operational', 'retired_at', 'signature'])
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
