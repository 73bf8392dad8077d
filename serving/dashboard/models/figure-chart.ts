import type { FigurePoint } from '../../../monitoring/figures/stored-figures.ts'
import { figureTitle } from '../../../monitoring/quality/figure-titles.ts'
import type { Chart } from '../contract/answer.ts'
import { momentText, rounded } from './traffic-charts.ts'

/**
 * A stored figure of a model over time, with a line for each version.
 *
 * @param version the version that the finding is about: a sentence over all would compare one with another
 */
export function figureChart(model: string, figure: string, points: readonly FigurePoint[], version: number | undefined): Chart {
  return {
    finding: findingOf(
      figure,
      points.filter((point) => point.version === version),
    ),
    series: [...Map.groupBy(points, (point) => point.version)].map(([of, line]) => ({
      label: `${model}@${of}`,
      unit: 'value' as const,
      points: line.map(({ asOf, value, low, high, n }) => ({
        t: asOf.getTime(),
        v: value,
        ...(low === null || high === null ? {} : { low, high }),
        n,
      })),
    })),
  }
}

function findingOf(figure: string, points: readonly FigurePoint[]): string {
  const known = points.filter(({ value }) => value !== null)
  const [first, last] = [known[0], known.at(-1)]
  if (first === undefined || last === undefined) return `${figureTitle(figure)} is not known.`
  const begin = `${figureTitle(figure)} ${rounded(first.value ?? 0)}`
  const [from, to] = [first, last].map(({ asOf }) => momentText(asOf.toISOString()))
  return first === last ? `${begin} at ${from}.` : `${begin} at ${from}, ${rounded(last.value ?? 0)} at ${to}.`
}
