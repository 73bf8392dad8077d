import type { ExperimentPlan } from '../../monitoring/experiments/plan-experiment.ts'
import { figure } from './experiment-text.ts'
import { dayMicros } from '../../kernel/values/time.ts'
import { count, counted, duration } from './human.ts'
import { shareText } from './rollout-text.ts'
import { table } from './table.ts'

export function experimentPlanText({ experiment, method, alpha, power, metric, traffic, horizons, needs, notes }: ExperimentPlan): string {
  const { days: logged, unitsByDay } = traffic
  const span = logged < 1 ? duration((logged * dayMicros) / 1000) : counted(Math.round(logged), 'day')
  const rate = unitsByDay === null ? 'new units a day are not known' : `${counted(unitsByDay, 'new unit')} a day would be in the experiment`
  const explained = metric.explained === null ? '' : `; the covariates explain ${shareText(metric.explained)} of the variance`
  return [
    `experiment  ${experiment}, ${method} at ${shareText(alpha)}`,
    `metric      ${metric.name}: ${figure(metric.value)}, deviation of a unit ${figure(metric.deviation)}, of ${counted(metric.units, 'unit')}${explained}`,
    `traffic     ${counted(traffic.units, 'unit')} in ${span}; ${rate}`,
    ...notes.map((note) => `Note: ${note}`),
    '',
    table(
      ['days', 'units', 'finds an effect of', 'as a share'],
      horizons.map(({ days, units, atLeast, detectable, detectableShare }) => {
        const limit = atLeast ? 'at most ' : ''
        return [
          String(days),
          `${atLeast ? 'at least ' : ''}${count(units)}`,
          detectable === null ? '' : `${limit}${figure(detectable)}`,
          detectableShare === null ? '' : `${limit}${shareText(Number(detectableShare.toPrecision(3)))}`,
        ]
      }),
    ),
    `in ${shareText(power)} of the cases, with the smallest treatment, once the windows have passed.`,
    ...(needs === null ? [] : ['', needsText(needs, unitsByDay)]),
  ].join('\n')
}

function needsText({ effect, units, days }: NonNullable<ExperimentPlan['needs']>, unitsByDay: number | null): string {
  const unknown = unitsByDay === null ? 'in a time that is not known' : 'which this traffic does not bring within ten years'
  const time = days === null ? unknown : `about ${counted(Math.ceil(days), 'day')}`
  return `An effect of ${shareText(effect)} needs ${counted(units, 'unit')}, ${time}. Declare it: analysis: { units: ${units} }`
}
