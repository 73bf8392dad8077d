import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { durationText, formatDuration } from '../../kernel/values/duration.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { FeatureSpec, JsonValue } from '../../kernel/specs/view-spec.ts'
import type { OnDemandFeatureSpec } from '../../kernel/specs/service-spec.ts'
import type { SliceSpecs } from '../../kernel/specs/slice-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import type { Definition } from '../definition.ts'
import { definitionKey, labelOf } from '../definition.ts'
import type { CheckSpec } from '../define/check-options.ts'
import type { Severity } from '../define/severity.ts'
import type { ChannelSpec } from '../monitor-spec.ts'
import type { PipelineSpec } from '../pipeline-spec.ts'
import type { ScheduledBatchSpec } from '../scheduled-batch-spec.ts'
import type { TrainingSpec } from '../trainings/training-spec.ts'
import { watchedName } from '../monitor-spec.ts'
import type { Use } from './entry.ts'
import { availabilityText, usersOf } from './entry.ts'
import type { ExperimentDetails } from './experiment-details.ts'
import { experimentDetails } from './experiment-details.ts'
import type { OutcomeDetails } from './outcome-details.ts'
import { outcomeDetails } from './outcome-details.ts'
import { graphOf, nodeKey } from './graph.ts'
import type { Inventory } from './inventory.ts'

/** A definition for people and programs that look for features; plain JSON. Fields that its kind lacks are absent. */
export interface DefinitionDetails {
  readonly kind: Definition['kind']
  readonly name: string
  /** null for kinds without versions. */
  readonly version: number | null
  /** All versions of the name, ascending; of a model, the pushed ones. */
  readonly versions: readonly { readonly version: number; readonly retired: boolean }[]
  /** Whether it was pruned. */
  readonly retired: boolean
  readonly fingerprint: string
  readonly description: string | null
  readonly owner: string | null
  readonly tags: readonly string[]
  /** What it is made from, directly. */
  readonly uses: readonly Use[]
  /** What is made from it, directly. */
  readonly usedBy: readonly Use[]
  /** Of an entity: the parts of its key. */
  readonly key?: readonly NamedType[]
  readonly source?: SourceDetails
  readonly view?: ViewDetails
  readonly onDemand?: OnDemandDetails
  readonly features?: readonly FeatureDetails[]
  readonly model?: ModelDetails
  readonly outcome?: OutcomeDetails
  readonly monitor?: MonitorDetails
  readonly channel?: ChannelDetails
  readonly experiment?: ExperimentDetails
  readonly batch?: BatchDetails
  readonly pipeline?: PipelineDetails
  readonly training?: TrainingDetails
}

export interface NamedType {
  readonly name: string
  /** `float64`, `vector(3)` */
  readonly type: string
}

export interface SourceDetails {
  /** A table or a query of the user, or null: the table that Lockstep created. */
  readonly table: string | null
  readonly sql: string | null
  /** For each part of a key, its column. */
  readonly key: Readonly<Record<string, string>>
  readonly eventTime: string
  readonly known: string | null
  readonly columns: readonly NamedType[]
  readonly stream: string | null
  /** The Parquet files that feed it, as declared; empty: none. */
  readonly files: readonly string[]
}

export interface ViewDetails {
  readonly entity: string
  readonly key: readonly NamedType[]
  readonly source: string
  readonly availability: string
  readonly online: boolean
  /** How far it may be behind its source: `10m`; null: not stated. */
  readonly maxLag: string | null
  readonly derived: readonly NamedType[]
}

export interface OnDemandDetails {
  readonly request: readonly NamedType[]
  readonly inputs: readonly { readonly name: string; readonly view: string }[]
}

export interface ModelDetails {
  readonly service: string
  readonly outputs: readonly NamedType[]
  readonly aliases: Readonly<Record<string, number>>
  /** Declared splits of its figures. */
  readonly slices: SliceSpecs
}

export interface MonitorDetails {
  readonly watches: string
  readonly checks: readonly CheckSpec[]
  /** Durations: `5m`. */
  readonly every: string
  readonly window: string
  /** How long a check must breach before its alert fires; null: it fires at once. */
  readonly for: string | null
  readonly clearAfter: number
  readonly noData: string | null
  readonly severity: Severity
  readonly notify: readonly string[]
  readonly runbook: string | null
}

export type BatchDetails = Omit<ScheduledBatchSpec, 'name'>

export type TrainingDetails = Omit<TrainingSpec, 'name'>

export type PipelineDetails = Omit<PipelineSpec, 'name' | 'sink'> & { readonly sink: string }

export interface ChannelDetails {
  readonly kind: ChannelSpec['kind']
  readonly severities: readonly Severity[]
  /** Whether alerts of default monitors go there. */
  readonly defaults: boolean
  /** The environment variables that it needs. */
  readonly variables: readonly string[]
}

export interface FeatureDetails extends NamedType {
  /** In a service: the view that it comes from, and its name there. */
  readonly view?: string
  readonly feature?: string
  /** How it is computed: `mean of delay over 6h`. */
  readonly computed: string
  /** In place of a missing value; null: it stays null. */
  readonly default: JsonValue
  /** Whether a missing value refuses the request. */
  readonly required: boolean
}

/** @param definition one of the inventory */
export function definitionDetails(inventory: Inventory, definition: Definition): DefinitionDetails {
  const { kind, name, version, retired, fingerprint, operational } = definition
  const node = { kind, name: labelOf(definition) }
  const { nodes, inputs } = graphOf(inventory)
  const uses = (inputs.get(nodeKey(node)) ?? []).flatMap((key) => nodes.get(key) ?? [])
  return {
    kind,
    name,
    version: version === 0 ? null : version,
    versions: versionsOf(inventory, definition),
    retired,
    fingerprint,
    description: operational.description ?? null,
    owner: operational.owner ?? null,
    tags: operational.tags ?? [],
    uses: uses.filter((each) => kind !== 'model' || each.kind === 'service').map((each) => ({ kind: each.kind, name: each.name })),
    usedBy: usersOf(inventory, [node]),
    ...ofKind(inventory, definition),
  }
}

function versionsOf({ definitions, versions }: Inventory, { kind, name }: Definition): DefinitionDetails['versions'] {
  if (kind === 'model') return versions.filter(({ model }) => model === name).map(({ version }) => ({ version, retired: false }))
  return definitions
    .filter((each) => each.kind === kind && each.name === name && each.version > 0)
    .map(({ version, retired }) => ({ version, retired }))
}

function ofKind(inventory: Inventory, definition: Definition): Partial<DefinitionDetails> {
  switch (definition.kind) {
    case 'entity':
      return { key: typed(definition.spec.key) }
    case 'source': {
      const { relation, key, eventTime, known, columns } = definition.spec
      const { stream, files } = definition.operational
      const source = {
        table: relation.kind === 'table' ? relation.table : null,
        sql: relation.kind === 'sql' ? relation.sql : null,
        key: Object.fromEntries(key.map(({ part, column }) => [part, column])),
        eventTime,
        known,
        columns: typed(columns),
        stream: stream === undefined ? null : streamName(stream),
        files: files?.patterns ?? [],
      }
      return { source }
    }
    case 'view': {
      const { entity, source, availability, derive } = definition.spec
      const { online = false, freshnessMicros } = definition.operational
      const view = {
        entity: entity.name,
        key: typed(entity.key),
        source: source.name,
        availability: availabilityText(availability),
        online,
        maxLag: freshnessMicros === undefined ? null : formatDuration(freshnessMicros),
        derived: typed(derive),
      }
      return { view, features: featuresOf(definition) }
    }
    case 'onDemand': {
      const { request, inputs } = definition.spec
      const named = inputs.map((input) => ({ name: input.name, view: 'use' in input ? input.use.view : input.onDemand }))
      return { onDemand: { request: typed(request), inputs: named }, features: featuresOf(definition) }
    }
    case 'service':
      return { features: serviceFeatures(inventory, definition) }
    case 'model': {
      const { service, output } = definition.spec
      const aliases = inventory.aliases.filter(({ model }) => model === definition.name)
      return {
        model: {
          service,
          outputs: typed(output),
          aliases: Object.fromEntries(aliases.map(({ alias, version }) => [alias, version])),
          slices: definition.operational.slices ?? {},
        },
      }
    }
    case 'outcome':
      return { outcome: outcomeDetails(definition.spec, definition.operational.figures ?? {}) }
    case 'monitor': {
      const { everyMicros, windowMicros, forMicros, noDataMicros, checks, clearAfter, severity, notify, runbook } = definition.spec
      const monitor = {
        watches: watchedName(definition.spec),
        checks,
        every: formatDuration(everyMicros),
        window: formatDuration(windowMicros),
        for: forMicros === 0 ? null : formatDuration(forMicros),
        clearAfter,
        noData: noDataMicros === null ? null : formatDuration(noDataMicros),
        severity,
        notify,
        runbook,
      }
      return { monitor }
    }
    case 'channel': {
      const { kind, severities, defaults, ...rest } = definition.spec
      const variables = Object.values(rest).flatMap((each) => (typeof each === 'object' && 'env' in each ? [each.env] : []))
      return { channel: { kind, severities, defaults, variables } }
    }
    case 'experiment':
      return { experiment: experimentDetails(definition.spec, definition.operational.coverage ?? 1) }
    case 'batch': {
      const { name: _, ...batch } = definition.spec
      return { batch }
    }
    case 'training': {
      const { name: _, ...training } = definition.spec
      return { training }
    }
    case 'pipeline': {
      const { name: _, sink, ...pipeline } = definition.spec
      return { pipeline: { ...pipeline, sink: streamName(sink) } }
    }
    default:
      return definition satisfies never
  }
}

function typed(columns: readonly Column<ValueType>[]): NamedType[] {
  return columns.map(({ name, type }) => ({ name, type: typeName(type) }))
}

function featureDetails(spec: FeatureSpec): FeatureDetails {
  return { name: spec.name, type: typeName(spec.type), computed: computedText(spec), default: spec.default, required: spec.required }
}

function onDemandFeature({ name, type, default: missing, required }: OnDemandFeatureSpec): FeatureDetails {
  return { name, type: typeName(type), computed: 'by the transform, on request', default: missing, required }
}

/** The features of a view. */
export function featuresOf(view: Definition & { readonly kind: 'view' | 'onDemand' }): FeatureDetails[] {
  return view.kind === 'view' ? view.spec.features.map(featureDetails) : view.spec.features.map(onDemandFeature)
}

const definitionsByKey = memoizeWeak(({ definitions }: Inventory) => new Map(definitions.map((each) => [definitionKey(each), each])))

/** The features of a service in its order, under its names. */
export function serviceFeatures(inventory: Inventory, service: Definition & { readonly kind: 'service' }): FeatureDetails[] {
  const byKey = definitionsByKey(inventory)
  return service.spec.members.flatMap((member) => {
    const id = member.kind === 'view' ? member.use.view : member.view
    const view = byKey.get(`${member.kind} ${id}`)
    const all = view?.kind === 'view' || view?.kind === 'onDemand' ? featuresOf(view) : []
    const alias = member.kind === 'view' ? member.use.alias : null
    return member.features.flatMap((feature) => {
      const found = all.find(({ name }) => name === feature)
      return found === undefined ? [] : [{ ...found, name: alias === null ? feature : `${alias}__${feature}`, view: id, feature }]
    })
  })
}

/** `mean of delay over 6h`, `count over 1h where late`, `latest delay, at most 2d old`. */
function computedText(spec: FeatureSpec): string {
  const where = spec.where === undefined ? '' : ` where ${spec.where}`
  if (spec.kind === 'latest')
    return `latest ${spec.column}${where}${spec.ttlMicros === null ? '' : `, at most ${durationText(spec.ttlMicros)} old`}`
  const { n, quantile, cap, sample } = spec
  const parameters = [quantile, n, cap === undefined ? undefined : `cap ${cap}`, sample === true ? 'sample' : undefined]
  const given = parameters.filter((each) => each !== undefined).join(', ')
  const aggregate = `${spec.aggregate}${given === '' ? '' : `(${given})`}${spec.column === null ? '' : ` of ${spec.column}`}`
  return `${aggregate} over ${spec.kind === 'window' ? durationText(spec.windowMicros) : 'all rows'}${where}`
}
