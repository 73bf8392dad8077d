import type { Figure } from '../../../monitoring/quality/figure.ts'
import { figureTitle } from '../../../monitoring/quality/figure-titles.ts'
import { rounded } from './traffic-charts.ts'

/** `AUC 0.71 (0.69 to 0.73)`. */
export function figureText(name: string, { value, low, high, reason }: Pick<Figure, 'value' | 'low' | 'high' | 'reason'>): string {
  if (value === null) return `${figureTitle(name)}: ${reason ?? 'not known'}`
  const interval = low === null || high === null ? '' : ` (${rounded(low)} to ${rounded(high)})`
  return `${figureTitle(name)} ${rounded(value)}${interval}`
}
