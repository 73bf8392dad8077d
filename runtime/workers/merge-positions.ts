import type { Standing } from './messages.ts'

/**
 * How several processes behind one port stand. A request may come to any of those that listen, so it is ready when all of them are; one that does not answer,
 * or that is to be replaced, is told.
 *
 * @param standings of those that listen; null: it did not answer in time
 * @param wanted how many there should be
 */
export function mergeStandings(standings: readonly (Standing | null)[], wanted: number): Standing {
  const known = standings.filter((standing) => standing !== null)
  const all = (of: (standing: Standing) => readonly string[]): string[] => [...new Set(known.flatMap(of))]
  const merged = {
    reasons: all(({ reasons }) => reasons),
    warnings: all(({ warnings }) => warnings),
    failing: all(({ failing }) => failing),
    degraded: all(({ degraded }) => degraded),
  }
  const { reasons, warnings } = merged
  if (known.length === 0) reasons.push('No server process answers.')
  if (known.length < standings.length)
    warnings.push(`${standings.length - known.length} of ${wanted} server processes do not answer in time.`)
  if (standings.length < wanted) warnings.push(`${wanted - standings.length} of ${wanted} server processes are starting or being replaced.`)
  if (known.length === 0) merged.failing.push('processes')
  else if (known.length < wanted) merged.degraded.push('processes')
  return { ready: reasons.length === 0 && known.every(({ ready }) => ready), ...merged }
}
