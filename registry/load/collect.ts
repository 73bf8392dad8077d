import { LockstepError } from '../../kernel/errors.ts'
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
    entities: new Named<Entity>('entity'),
    sources: new Named<Source>('source'),
    views: new Named<AnyFeatureView>('feature view'),
    onDemand: new Named<OnDemandView>('on-demand view'),
    services: new Named<FeatureService>('feature service'),
    models: new Named<Model>('model'),
    outcomes: new Named<Outcome>('outcome'),
    channels: new Named<Channel>('channel'),
    monitors: new Named<Monitor>('monitor'),
    experiments: new Named<Experiment>('experiment'),
    batches: new Named<Batch>('batch'),
    pipelines: new Named<Pipeline>('pipeline'),
    trainings: new Named<Training>('training'),
  }
  const addView = (view: AnyFeatureView): void => {
    found.entities.add(view.entity, view.entity.name)
    found.sources.add(view.source, view.source.name)
    found.views.add(view, `${view.name}@${view.version}`)
  }
  const addOnDemand = (view: OnDemandView): void => {
    for (const input of view.inputs) add(input.kind, input)
    found.onDemand.add(view, `${view.name}@${view.version}`)
  }
  const addService = (service: FeatureService): void => {
    for (const member of service.members) add(definitionKind(member), member)
    found.services.add(service, `${service.name}@${service.version}`)
  }
  const addModel = (model: Model): void => {
    addService(model.service)
    found.models.add(model, model.name)
  }
  const addMonitor = (monitor: Monitor): void => {
    for (const value of [monitor.of, ...monitor.notify]) add(definitionKind(value), value)
    found.monitors.add(monitor, monitor.name)
  }
  const addExperiment = (experiment: Experiment): void => {
    const { model, metrics, covariates, slices } = experiment
    for (const value of [model, ...metrics.flatMap(({ of }) => of), ...covariates, ...slices]) add(definitionKind(value), value)
    found.experiments.add(experiment, experiment.name)
  }
  const add = (kind: DslKind | null, value: unknown): void => {
    switch (kind) {
      case 'entity':
        return found.entities.add(value as Entity, (value as Entity).name)
      case 'source':
        return found.sources.add(value as Source, (value as Source).name)
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
        addModel((value as Outcome).model)
        found.sources.add((value as Outcome).source, (value as Outcome).source.name)
        return found.outcomes.add(value as Outcome, (value as Outcome).name)
      case 'channel':
        return found.channels.add(value as Channel, (value as Channel).name)
      case 'monitor':
        return addMonitor(value as Monitor)
      case 'experiment':
        return addExperiment(value as Experiment)
      case 'batch':
        addModel((value as Batch).model)
        return found.batches.add(value as Batch, (value as Batch).name)
      case 'pipeline':
        found.sources.add((value as Pipeline).source, (value as Pipeline).source.name)
        addModel((value as Pipeline).model)
        return found.pipelines.add(value as Pipeline, (value as Pipeline).name)
      case 'training':
        addModel((value as Training).model)
        return found.trainings.add(value as Training, (value as Training).name)
      case null:
        return undefined
      default:
        return kind satisfies never
    }
  }
  for (const value of values) add(definitionKind(value), value)
  return {
    entities: found.entities.all,
    sources: found.sources.all,
    views: found.views.all,
    onDemand: found.onDemand.all,
    services: found.services.all,
    models: found.models.all,
    outcomes: found.outcomes.all,
    channels: found.channels.all,
    monitors: found.monitors.all,
    experiments: found.experiments.all,
    batches: found.batches.all,
    pipelines: found.pipelines.all,
    trainings: found.trainings.all,
  }
}

class Named<T extends object> {
  readonly all: T[] = []
  readonly #byName = new Map<string, T>()
  readonly #kind: string

  constructor(kind: string) {
    this.#kind = kind
  }

  add(definition: T, name: string): void {
    const other = this.#byName.get(name)
    if (other === definition) return
    if (other !== undefined) {
      const way = name.includes('@') ? 'give one of them another name or version' : 'give one of them another name'
      throw new LockstepError('DUPLICATE_NAME', `Two definitions are the ${this.#kind} "${name}"; ${way}.`, {
        details: { kind: this.#kind, name },
      })
    }
    this.#byName.set(name, definition)
    this.all.push(definition)
  }
}
