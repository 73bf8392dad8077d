import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import { measuresOf } from '../../kernel/specs/experiment-spec.ts'
import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import type { EntitySpec, SourceSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import type { Definition } from '../definition.ts'
import { keyColumns } from './source-check.ts'

/** A reader of a source by the key of an entity. */
export type SourceReader = Pick<ViewSpec, 'source' | 'entity'>

/** Definitions that read sources. */
export interface ReaderSet {
  readonly views: readonly { readonly spec: ViewSpec }[]
  readonly outcomes: readonly { readonly spec: OutcomeSpec }[]
  readonly experiments: readonly { readonly spec: ExperimentSpec }[]
}

/** The readers of the sources of a file. */
export function readersOf({ views, outcomes, experiments }: ReaderSet): SourceReader[] {
  return [
    ...views.map(({ spec }) => spec),
    ...outcomes.flatMap(({ spec }) => outcomeReaders(spec)),
    ...experiments.flatMap(({ spec }) => experimentReaders(spec)),
  ]
}

/** The sources that a definition carries within it. */
export function sourcesIn(definition: Definition): SourceSpec[] {
  switch (definition.kind) {
    case 'view':
    case 'outcome':
      return [definition.spec.source]
    case 'experiment':
      return experimentReaders(definition.spec).map(({ source }) => source)
    default:
      return []
  }
}

/** An outcome that matches by key reads its source as a view of an entity with that key would. */
export function outcomeReaders({ name, source, match }: OutcomeSpec): SourceReader[] {
  return match.kind === 'prediction' ? [] : [{ source, entity: { name: `outcome ${name}`, key: match.key } }]
}

/** A metric reads its source as a view of an entity with the unit's key would. */
export function experimentReaders({ name, metrics }: ExperimentSpec): SourceReader[] {
  return metrics.flatMap(measuresOf).flatMap(({ of }) => {
    return of.kind === 'source' ? [{ source: of.source, entity: { name: `experiment ${name}`, key: of.key } }] : []
  })
}

/**
 * The entities of the views that read the source, if it has columns for all parts of their keys. Of entities with the
 * same name, the last one is returned.
 */
export function entitiesOf(source: SourceSpec, views: readonly SourceReader[] = []): EntitySpec[] {
  const entities = views.filter((view) => view.source.name === source.name).map((view) => view.entity)
  const byName = new Map(entities.map((entity) => [entity.name, entity]))
  return [...byName.values()].filter((entity) => keyColumns(source, entity).length === entity.key.length)
}
