import type { TrainingRun } from '../../serving/dashboard/contract/trainings.ts'

const maxShown = 3

/** The first metrics of a run: `auc 0.83, logLoss 0.31, brier 0.1 and 4 more`. */
export function metricsText(metrics: TrainingRun['metrics']): string {
  if (metrics.length === 0) return '–'
  const shown = metrics.slice(0, maxShown).map(({ name, value }) => `${name} ${Number(value.toPrecision(4))}`)
  return `${shown.join(', ')}${metrics.length > maxShown ? ` and ${metrics.length - maxShown} more` : ''}`
}
