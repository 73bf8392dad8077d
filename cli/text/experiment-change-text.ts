import type { ExperimentChange } from '../../registry/experiments/change-experiment.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import type { ListedExperiment } from '../../registry/experiments/list-experiments.ts'
import { moment } from './human.ts'
import { shareText, unitText } from './rollout-text.ts'
import { table } from './table.ts'

/** In the registry, or as a server answers it. */
type Shown<T> = Omit<T, 'startedAt' | 'stoppedAt'> & { readonly startedAt: Date | string | null; readonly stoppedAt: Date | string | null }
type ShownRun = Pick<ExperimentRun, 'name' | 'model' | 'state' | 'coverage' | 'versions' | 'slices'> & {
  readonly spec: Readonly<Record<string, unknown>> | ExperimentRun['spec']
}

export function experimentChangeText({
  experiment,
  notes,
  servers,
}: Pick<ExperimentChange, 'notes' | 'servers'> & { readonly experiment: ShownRun }): string {
  const { name, model, state, coverage, versions, slices } = experiment
  const slow = servers !== undefined && servers.loaded < servers.asked
  const shares = Object.entries(versions).map(([variant, version]) => {
    const share = slices.reduce((sum, slice) => sum + (slice.variant === variant ? slice.to - slice.from : 0), 0)
    return `${variant} ${model}@${version} (${shareText(share)})`
  })
  return [
    state === 'running'
      ? `The experiment ${name} runs on ${shareText(coverage)} of its units: ${shares.join(', ')}.`
      : `The experiment ${name} is stopped. Its units are routed as all others.`,
    ...notes,
    ...(slow ? [`${servers.loaded} of ${servers.asked} servers had loaded the versions; the others load them now.`] : []),
  ].join('\n')
}

export function experimentsText(experiments: readonly Shown<ListedExperiment>[], width: number | null): string {
  if (experiments.length === 0) return 'No experiment is declared. Declare one with experiment(…) in a definitions file, and apply it.'
  const rows = experiments.map(({ name, state, model, unit, coverage, layer, variants, primary, startedAt, stoppedAt }) => [
    name,
    state,
    `${model}, ${unitText(unit)}`,
    variants.map((each) => `${each.name} ${each.version ?? each.serves}`).join(', '),
    layer === null ? shareText(coverage) : `${shareText(coverage)} of ${layer.name} ${layer.from} to ${layer.to}`,
    primary,
    startedAt === null ? '' : moment(new Date(startedAt)),
    stoppedAt === null ? '' : moment(new Date(stoppedAt)),
  ])
  return table(['name', 'state', 'model', 'variants', 'coverage', 'primary', 'started', 'stopped'], rows, '', width)
}
