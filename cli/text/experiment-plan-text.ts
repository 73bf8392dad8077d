import type { ExperimentPlan } from '../../monitoring/experiments/plan-experiment.ts'
import { figure } from './experiment-text.ts'
import { count, counted } from './human.ts'
import { shareText } from './rollout-text.ts'
import { table } from './table.ts'

export function experimentPlanText({ experiment, method, alpha, power, metric, traffic, horizons, needs }: ExperimentPlan): string {
  const explained = metric.explained === null ? '' : `; the covariates explain ${shareText(metric.explained)} of the variance`
  return [
    `experiment  ${experiment}, ${method} at ${shareText(alpha)}`,
    `metric      ${metric.name}: ${figure(metric.value)}, deviation of a unit ${figure(metric.deviation)}, of ${counted(metric.units, 'unit')}${explained}`,
    `traffic     ${counted(traffic.units, 'unit')} in ${counted(traffic.days, 'day')}; ${counted(traffic.unitsByDay, 'new unit')} a day would be in the experiment`,
    '',
    table(
      ['days', 'units', 'finds an effect of', 'as a share'],
      horizons.map(({ days, units, detectable, detectableShare }) => [
        String(days),
        count(units),
        figure(detectable),
        detectableShare === null ? '' : shareText(Number(detectableShare.toPrecision(3))),
      ]),
    ),
    `in ${shareText(power)} of the cases, with the smallest treatment, once the windows have passed.`,
    ...(needs === null ? [] : ['', needsText(needs)]),
  ].join('\n')
}

function needsText({ effect, units, days }: NonNullable<ExperimentPlan['needs']>): string {
  const time = days === null ? 'which this traffic does not bring within ten years' : `about ${counted(Math.ceil(days), 'day')}`
  return `An effect of ${shareText(effect)} needs ${counted(units, 'unit')}, ${time}. Declare it: analysis: { units: ${units} }`
}
