import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionKind } from '../../migrations/schema.ts'
import { definitionKind } from '../define/definition.ts'
import type { Batch } from '../define/batch.ts'
import type { Entity } from '../define/entity.ts'
import type { Experiment } from '../define/experiment.ts'
import type { FeatureService } from '../define/feature-service.ts'
import type { AnyFeatureView } from '../define/feature-view.ts'
import type { Channel } from '../define/channel.ts'
import type { Monitor } from '../define/monitor.ts'
import type { Model } from '../define/model.ts'
import type { Outcome } from '../define/outcome.ts'
import type { OnDemandPick, OnDemandView } from '../define/on-demand-view.ts'
import type { Pipeline } from '../define/pipeline.ts'
import type { Source } from '../define/source.ts'
import type { Training } from '../define/training.ts'
import type { ViewUse } from '../define/view-use.ts'
import type { DefinitionKey } from '../definition.ts'
import { kindNames, labelOf, versionOf } from '../definition.ts'

/** The definitions among some values and those that they refer to, in the order of discovery, each once. */
export interface Collected {
  readonly entities: readonly Entity[]
  readonly sources: readonly Source[]
  readonly views: readonly AnyFeatureView[]
  readonly onDemand: readonly OnDemandView[]
  readonly services: readonly FeatureService[]
  readonly models: readonly Model[]
  readonly outcomes: readonly Outcome[]
  readonly channels: readonly Channel[]
  readonly monitors: readonly Monitor[]
  readonly experiments: readonly Experiment[]
  readonly batches: readonly Batch[]
  readonly pipelines: readonly Pipeline[]
  readonly trainings: readonly Training[]
}

/**
 * Lists, objects, maps and sets among the values are searched too.
 *
 * @throws LockstepError `DUPLICATE_NAME` if two definitions of a kind share a name, or name and version
 */
export function collectDefinitions(values: Iterable<unknown>): Collected {
  const found = {
    entities: [] as Entity[],
    sources: [] as Source[],
    views: [] as AnyFeatureView[],
    onDemand: [] as OnDemandView[],
    services: [] as FeatureService[],
    models: [] as Model[],
    outcomes: [] as Outcome[],
    channels: [] as Channel[],
    monitors: [] as Monitor[],
    experiments: [] as Experiment[],
    batches: [] as Batch[],
    pipelines: [] as Pipeline[],
    trainings: [] as Training[],
  } satisfies Collected
  const known = new Map<DefinitionKey, object>()
  const searched = new Set<unknown>()

  /** @param parts what the definition refers to, which comes before it */
  function keep<T extends Named>(kind: DefinitionKind, list: T[], definition: T, parts: readonly unknown[] = []): void {
    for (const part of parts) add(part)
    const label = labelOf({ name: definition.name, version: versionOf(kind, definition) })
    const other = known.get(`${kind} ${label}`)
    if (other === definition) return
    if (other !== undefined) throw duplicateName(kindNames[kind], label)
    known.set(`${kind} ${label}`, definition)
    list.push(definition)
  }

  function add(value: unknown): void {
    if (definitionKind(value) === null) {
      // a list may contain itself
      if (searched.has(value)) return
      searched.add(value)
      for (const member of membersOf(value)) add(member)
      return
    }
    const definition = value as DslDefinition
    switch (definition.kind) {
      case 'viewUse':
      case 'onDemandPick':
        return add(definition.view)
      case 'entity':
        return keep('entity', found.entities, definition)
      case 'source':
        return keep('source', found.sources, definition)
      case 'featureView':
        return keep('view', found.views, definition, [definition.entity, definition.source])
      case 'onDemandView':
        return keep('onDemand', found.onDemand, definition, definition.inputs)
      case 'featureService':
        return keep('service', found.services, definition, definition.members)
      case 'model':
        return keep('model', found.models, definition, [definition.service])
      case 'outcome':
        return keep('outcome', found.outcomes, definition, [definition.model, definition.source])
      case 'channel':
        return keep('channel', found.channels, definition)
      case 'monitor':
        return keep('monitor', found.monitors, definition, [definition.of, ...definition.notify])
      case 'experiment': {
        const { model, metrics, covariates, slices } = definition
        return keep('experiment', found.experiments, definition, [model, ...metrics.flatMap(({ of }) => of), ...covariates, ...slices])
      }
      case 'batch':
        return keep('batch', found.batches, definition, [definition.model])
      case 'pipeline':
        return keep('pipeline', found.pipelines, definition, [definition.source, definition.model])
      case 'training':
        return keep('training', found.trainings, definition, [definition.model])
      default:
        return definition satisfies never
    }
  }

  for (const value of values) add(value)
  return found
}

/** The values within a list, a map, a set, a module or an object that is not of a class. */
function membersOf(value: unknown): Iterable<unknown> {
  if (typeof value !== 'object' || value === null) return []
  if (Array.isArray(value) || value instanceof Set) return value
  if (value instanceof Map) return value.values()
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype ? Object.values(value) : []
}

type DslDefinition =
  | Entity
  | Source
  | AnyFeatureView
  | ViewUse
  | OnDemandView
  | OnDemandPick
  | FeatureService
  | Model
  | Outcome
  | Channel
  | Monitor
  | Experiment
  | Batch
  | Pipeline
  | Training

interface Named {
  readonly name: string
  readonly version?: number | string | null
}

function duplicateName(kind: string, name: string): LockstepError {
  const way = name.includes('@') ? 'give one of them another name or version' : 'give one of them another name'
  return new LockstepError('DUPLICATE_NAME', `Two definitions are the ${kind} "${name}"; ${way}.`, { details: { kind, name } })
}
