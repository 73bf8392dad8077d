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
  const texts = (first === last ? [first] : [first, last]).map(pointText)
  return `${figureTitle(figure)} ${texts.join(', ')}.`
}

/** The interval tells a change from chance: the first days have few predictions. */
function pointText({ asOf, value, low, high }: FigurePoint): string {
  const interval = low === null || high === null ? '' : ` (${rounded(low)} to ${rounded(high)})`
  return `${rounded(value ?? 0)}${interval} at ${momentText(asOf.toISOString())}`
}
