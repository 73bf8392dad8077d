import { LockstepError } from '../../kernel/errors.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { KindList } from '../definition.ts'
import type { Declared, DefinitionSet } from './definition-set.ts'
import { fingerprints } from '../fingerprint.ts'

type Undeclared<List> = List extends readonly Declared<infer Spec, infer Operational>[]
  ? readonly { readonly spec: Spec; readonly operational: Declared<Spec, Operational>['operational'] }[]
  : never

/** The definitions of a set without their fingerprints. */
export type UndeclaredDefinitions = { readonly [List in KindList]: Undeclared<DefinitionSet[List]> }

/**
 * Computes the fingerprints of definitions.
 *
 * @param code texts that the running esbuild printed, so that their hashes are their identities
 */
export function declareDefinitions(file: string, definitions: UndeclaredDefinitions, code: ReadonlyMap<string, string>): DefinitionSet {
  const { entities, sources, views, onDemand, services, models, outcomes, channels, monitors, experiments, batches, pipelines, trainings } =
    definitions
  const specs = <Spec>(list: readonly { readonly spec: Spec }[]): Spec[] => list.map(({ spec }) => spec)
  const prints = fingerprints(
    {
      entities: specs(entities),
      sources: specs(sources),
      views: specs(views),
      onDemand: specs(onDemand),
      services: specs(services),
      models: specs(models),
      outcomes: specs(outcomes),
      channels: specs(channels),
      monitors: specs(monitors),
      experiments: specs(experiments),
      batches: specs(batches),
      pipelines: specs(pipelines),
      trainings: specs(trainings),
    },
    new Map([...code.keys()].map((hash) => [hash, hash])),
  )
  const declared = <Each extends object>(each: Each, fingerprint: string | undefined) => {
    if (fingerprint === undefined) throw new LockstepError('INTERNAL', 'A definition has no fingerprint; report this.')
    return { ...each, fingerprint }
  }
  return {
    file,
    entities: entities.map((each) => declared(each, prints.entities.get(each.spec.name))),
    sources: sources.map((each) => declared(each, prints.sources.get(each.spec.name))),
    views: views.map((each) => declared(each, prints.views.get(definitionId(each.spec)))),
    onDemand: onDemand.map((each) => declared(each, prints.onDemand.get(definitionId(each.spec)))),
    services: services.map((each) => declared(each, prints.services.get(definitionId(each.spec)))),
    models: models.map((each) => declared(each, prints.models.get(each.spec.name))),
    outcomes: outcomes.map((each) => declared(each, prints.outcomes.get(each.spec.name))),
    channels: channels.map((each) => declared(each, prints.channels.get(each.spec.name))),
    monitors: monitors.map((each) => declared(each, prints.monitors.get(each.spec.name))),
    experiments: experiments.map((each) => declared(each, prints.experiments.get(each.spec.name))),
    batches: batches.map((each) => declared(each, prints.batches.get(each.spec.name))),
    pipelines: pipelines.map((each) => declared(each, prints.pipelines.get(each.spec.name))),
    trainings: trainings.map((each) => declared(each, prints.trainings.get(each.spec.name))),
    code,
  }
}
