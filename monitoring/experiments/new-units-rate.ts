/** With fewer days, units that return may look new, and days of the week are missing. */
export const minRateDays = 7

/**
 * New units a day: the mean of the last quarter of the days. Later, fewer of the units that return look new.
 *
 * @param newByDay by day, oldest first: the units that were not there before
 * @param activeDays the days that have traffic
 * @returns null: with fewer than 7 such days, the rate is not known
 */
export function newUnitsRate(newByDay: readonly number[], activeDays = newByDay.length): number | null {
  if (activeDays < minRateDays) return null
  const late = newByDay.slice(-Math.ceil(newByDay.length / 4))
  return late.reduce((sum, units) => sum + units, 0) / late.length
}
