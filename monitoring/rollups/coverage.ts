import type { Window } from '../window.ts'
import { minuteMicros } from '../../kernel/values/time.ts'

/** Which minutes of a window were measured. */
export interface Coverage {
  /** Minutes that at least one process has written. */
  readonly minutes: number
  /**
   * Minutes that a process did not write although it had written before and had not said that it ends: it was killed,
   * it stood still, or the database was unavailable for too long.
   */
  readonly missing: readonly Window[]
}

/** A minute that a process has written. */
export interface WrittenMinute {
  readonly process: string
  /** The begin of the minute, epoch microseconds. */
  readonly at: number
  /** Whether the process said that it ends. */
  readonly ended: boolean
}

/**
 * Finds the gaps of a window. A process that is killed loses the minute after its last one. If no other process wrote
 * meanwhile, the gap lasts until one does.
 *
 * @param written in the window, and around it as far as processes are to be known
 * @param knownTo later minutes may still be written
 */
export function coverageOf(written: readonly WrittenMinute[], from: number, to: number, knownTo: number): Coverage {
  const minutes = [...new Set(written.map(({ at }) => at))].sort((a, b) => a - b)
  const gaps: Window[] = []
  for (const own of Map.groupBy(written, ({ process }) => process).values()) {
    const ordered = own.toSorted((a, b) => a.at - b.at)
    for (const [i, { at, ended }] of ordered.entries()) {
      const next = ordered[i + 1]
      const lost = at + minuteMicros
      if (next !== undefined) gaps.push({ from: lost, to: next.at })
      else if (!ended) gaps.push({ from: lost, to: Math.max(lost + minuteMicros, minutes.find((minute) => minute > at) ?? knownTo) })
    }
  }
  const end = Math.min(to, knownTo)
  const clipped = gaps.map((gap): Window => ({ from: Math.max(gap.from, from), to: Math.min(gap.to, end) }))
  return { minutes: minutes.filter((minute) => minute >= from && minute < to).length, missing: unionOfGaps(clipped) }
}

/** The coverage of several windows together. They must not overlap. */
export function joinCoverage(parts: readonly Coverage[]): Coverage {
  return {
    minutes: parts.reduce((sum, { minutes }) => sum + minutes, 0),
    missing: unionOfGaps(parts.flatMap(({ missing }) => missing)),
  }
}

function unionOfGaps(gaps: readonly Window[]): Window[] {
  const union: { from: number; to: number }[] = []
  for (const { from, to } of gaps.filter((gap) => gap.from < gap.to).sort((a, b) => a.from - b.from)) {
    const last = union.at(-1)
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else union.push({ from, to })
  }
  return union
}
