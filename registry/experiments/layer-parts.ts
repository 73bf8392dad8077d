import type { LayerSpec } from '../../kernel/specs/experiment-spec.ts'

type Part = Pick<LayerSpec, 'from' | 'to'>

export function overlaps(one: Part, other: Part): boolean {
  return one.from < other.to && other.from < one.to
}

/** The parts of [0, 1) that are free, ascending. */
export function freeParts(taken: readonly Part[]): Part[] {
  const free: Part[] = []
  let from = 0
  for (const part of taken.toSorted((a, b) => a.from - b.from)) {
    if (part.from > from) free.push({ from, to: part.from })
    from = Math.max(from, part.to)
  }
  if (from < 1) free.push({ from, to: 1 })
  return free
}

/** `0.5 to 1` */
export function partText({ from, to }: Part): string {
  return `${from} to ${to}`
}
