/** One rule of an error budget: both windows burn at least so many times as fast as the objective allows. */
export interface BurnRule {
  readonly severity: 'page' | 'ticket'
  readonly factor: number
  readonly longSeconds: number
  /** A twelfth of the long window: the alert ends soon after the burning does. */
  readonly shortSeconds: number
}

/** Source: The Site Reliability Workbook (Google, 2018), chapter 5, table 5-8. */
export const burnRules: readonly BurnRule[] = [
  { severity: 'page', factor: 14.4, longSeconds: 3600, shortSeconds: 300 },
  { severity: 'page', factor: 6, longSeconds: 6 * 3600, shortSeconds: 1800 },
  { severity: 'ticket', factor: 1, longSeconds: 3 * 86_400, shortSeconds: 6 * 3600 },
]

/** Good and bad events of a window. */
export interface BudgetWindow {
  readonly total: number
  readonly bad: number
}

/**
 * How many times as fast as allowed the budget burns: 1 uses it up exactly at the end of its period. null where nothing
 * happened.
 *
 * @param objective the share of good events that is promised, such as 0.999
 */
export function burnRate({ total, bad }: BudgetWindow, objective: number): number | null {
  return total === 0 ? null : bad / total / (1 - objective)
}
