import type { KeptDefinition } from './change-plan.ts'
import type { Definition } from '../definition.ts'
import type { ExperimentRun } from '../experiments/experiment.ts'
import { definitionKey, displayName, labelOf } from '../definition.ts'
import type { ModelUse } from './usage.ts'
import { sourcesIn } from './source-readers.ts'
import { usersByDefinition } from './usage.ts'

/**
 * Which of the candidates nothing needs that stays, and what needs the others. A model that has versions is needed by
 * them, and an experiment that runs by its run.
 */
export function prunable(
  candidates: readonly Definition[],
  staying: readonly Definition[],
  uses: readonly ModelUse[],
  running: readonly Pick<ExperimentRun, 'name'>[] = [],
): { readonly removed: readonly Definition[]; readonly kept: readonly KeptDefinition[] } {
  const gone = new Set(candidates.map(displayName))
  const users = usersByDefinition([...staying, ...candidates], uses)
  const neededBy = (definition: Definition): string[] => [...(users.get(definitionKey(definition)) ?? [])].filter((user) => !gone.has(user))
  const isView = (definition: Definition): definition is Definition & { readonly kind: 'view' } => definition.kind === 'view'
  // what needs an outcome goes with it, so none of the candidates stays
  const readersOf = (source: string): string[] =>
    staying.filter((each) => each.kind !== 'view' && sourcesIn(each).some(({ name }) => name === source)).map(displayName)
  const viewsLeft = [...staying, ...candidates.filter((each) => neededBy(each).length > 0)].filter(isView)
  const needing = (definition: Definition): string[] => {
    const { kind, name } = definition
    // a view carries both within it, but they are what rows are pushed to and asked by
    if (kind === 'source')
      return [...viewsLeft.filter(({ spec }) => spec.source.name === name).map(displayName), ...readersOf(name), ...neededBy(definition)]
    if (kind === 'model')
      return [
        ...uses.filter(({ model }) => model === name).map(({ model, version }) => `model "${model}" version ${version}`),
        ...neededBy(definition),
      ]
    if (kind === 'experiment')
      return running.some((run) => run.name === name) ? [`its run, until you stop it: lockstep experiment stop ${name}`] : []
    if (kind === 'entity') return viewsLeft.filter(({ spec }) => spec.entity.name === name).map(displayName)
    return neededBy(definition)
  }
  const removed = candidates.filter((definition) => needing(definition).length === 0)
  const kept = candidates.flatMap((definition) => {
    const neededNow = needing(definition)
    const { kind, name, version } = definition
    return neededNow.length === 0 ? [] : [{ kind, name, version, label: labelOf(definition), neededBy: neededNow }]
  })
  return { removed, kept }
}
