import type { Readiness } from './messages.ts'

/**
 * How several processes behind one port stand. A request may come to any of those that listen, so it is ready when all of them are; one that does not answer,
 * or that is to be replaced, is told.
 *
 * @param readiness of those that listen; null: it did not answer in time
 * @param wanted how many there should be
 */
export function mergeReadiness(readiness: readonly (Readiness | null)[], wanted: number): Readiness {
  const known = readiness.filter((each) => each !== null)
  const all = (of: (each: Readiness) => readonly string[]): string[] => [...new Set(known.flatMap(of))]
  const merged = {
    reasons: all(({ reasons }) => reasons),
    warnings: all(({ warnings }) => warnings),
    failing: all(({ failing }) => failing),
    degraded: all(({ degraded }) => degraded),
  }
  const { reasons, warnings } = merged
  if (known.length === 0) reasons.push('No server process answers.')
  if (known.length < readiness.length)
    warnings.push(`${readiness.length - known.length} of ${wanted} server processes do not answer in time.`)
  if (readiness.length < wanted) warnings.push(`${wanted - readiness.length} of ${wanted} server processes are starting or being replaced.`)
  if (known.length === 0) merged.failing.push('processes')
  else if (known.length < wanted) merged.degraded.push('processes')
  return { ready: reasons.length === 0 && known.every(({ ready }) => ready), ...merged }
}
