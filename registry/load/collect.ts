import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionKind } from '../../migrations/schema.ts'
import type { DslKind } from '../define/definition.ts'
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

/** @throws LockstepError `DUPLICATE_NAME` if two definitions of a kind share a name, or name and version */
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

  function keep<T extends Named>(kind: DefinitionKind, list: T[], definition: T): void {
    const label = labelOf({ name: definition.name, version: versionOf(kind, definition) })
    const other = known.get(`${kind} ${label}`)
    if (other === definition) return
    if (other !== undefined) throw duplicateName(kindNames[kind], label)
    known.set(`${kind} ${label}`, definition)
    list.push(definition)
  }

  function addView(view: AnyFeatureView): void {
    keep('entity', found.entities, view.entity)
    keep('source', found.sources, view.source)
    keep('view', found.views, view)
  }

  function addOnDemand(view: OnDemandView): void {
    for (const input of view.inputs) add(input.kind, input)
    keep('onDemand', found.onDemand, view)
  }

  function addService(service: FeatureService): void {
    for (const member of service.members) add(definitionKind(member), member)
    keep('service', found.services, service)
  }

  function addModel(model: Model): void {
    addService(model.service)
    keep('model', found.models, model)
  }

  function addOutcome(outcome: Outcome): void {
    addModel(outcome.model)
    keep('source', found.sources, outcome.source)
    keep('outcome', found.outcomes, outcome)
  }

  function addMonitor(monitor: Monitor): void {
    for (const value of [monitor.of, ...monitor.notify]) add(definitionKind(value), value)
    keep('monitor', found.monitors, monitor)
  }

  function addExperiment(experiment: Experiment): void {
    const { model, metrics, covariates, slices } = experiment
    for (const value of [model, ...metrics.flatMap(({ of }) => of), ...covariates, ...slices]) add(definitionKind(value), value)
    keep('experiment', found.experiments, experiment)
  }

  function addBatch(batch: Batch): void {
    addModel(batch.model)
    keep('batch', found.batches, batch)
  }

  function addPipeline(pipeline: Pipeline): void {
    keep('source', found.sources, pipeline.source)
    addModel(pipeline.model)
    keep('pipeline', found.pipelines, pipeline)
  }

  function addTraining(training: Training): void {
    addModel(training.model)
    keep('training', found.trainings, training)
  }

  function add(kind: DslKind | null, value: unknown): void {
    switch (kind) {
      case 'entity':
        return keep('entity', found.entities, value as Entity)
      case 'source':
        return keep('source', found.sources, value as Source)
      case 'featureView':
        return addView(value as AnyFeatureView)
      case 'viewUse':
        return addView((value as ViewUse).view)
      case 'onDemandView':
        return addOnDemand(value as OnDemandView)
      case 'onDemandPick':
        return addOnDemand((value as OnDemandPick).view)
      case 'featureService':
        return addService(value as FeatureService)
      case 'model':
        return addModel(value as Model)
      case 'outcome':
        return addOutcome(value as Outcome)
      case 'channel':
        return keep('channel', found.channels, value as Channel)
      case 'monitor':
        return addMonitor(value as Monitor)
      case 'experiment':
        return addExperiment(value as Experiment)
      case 'batch':
        return addBatch(value as Batch)
      case 'pipeline':
        return addPipeline(value as Pipeline)
      case 'training':
        return addTraining(value as Training)
      case null:
        return undefined
      default:
        return kind satisfies never
    }
  }

  for (const value of values) add(definitionKind(value), value)
  return found
}

interface Named {
  readonly name: string
  readonly version?: number | string | null
}

function duplicateName(kind: string, name: string): LockstepError {
  const way = name.includes('@') ? 'give one of them another name or version' : 'give one of them another name'
  return new LockstepError('DUPLICATE_NAME', `Two definitions are the ${kind} "${name}"; ${way}.`, { details: { kind, name } })
}
