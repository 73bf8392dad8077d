import { hash } from 'node:crypto'

/**
 * Where a unit stands in [0, 1) for a salt: the first 53 bits of SHA-256(salt, a zero byte, unit) as a fraction. It
 * depends on nothing else, so it is the same on every server, in every language, for ever. Different salts give
 * independent places.
 *
 * @param salt of an experiment, a rollout or a layer; without zero bytes
 * @param unit the canonical text of the unit; both are hashed as UTF-8
 */
export function unitPlace(salt: string, unit: string): number {
  const bytes = hash('sha256', `${salt}\0${unit}`, 'buffer')
  return (bytes.readUInt32BE(0) * 2 ** 21 + (bytes.readUInt32BE(4) >>> 11)) / 2 ** 53
}

/** A part of [0, 1) and the variant that gets it: `from` is in, `to` is not. */
export interface Slice {
  readonly from: number
  readonly to: number
  readonly variant: string
}

/** The variant of a place; null where no slice covers it. */
export function variantAt(slices: readonly Slice[], place: number): string | null {
  return slices.find(({ from, to }) => from <= place && place < to)?.variant ?? null
}

/** The share of a variant is below this where rounding alone keeps it from 0. */
const negligible = 1e-12

/**
 * Slices with the given shares that move as few places as possible: a variant that shrinks keeps the lowest part of its
 * places, and only what is free goes to those that grow. So growing from nothing never moves a unit that is in.
 *
 * @param shares by variant, each from 0 to 1, together at most 1; a variant without a share loses its places
 * @throws RangeError where a share is no share, or they exceed 1
 */
export function reslice(previous: readonly Slice[], shares: Readonly<Record<string, number>>): Slice[] {
  const total = Object.values(shares).reduce((sum, share) => sum + share, 0)
  const odd = Object.entries(shares).find(([, share]) => !(share >= 0 && share <= 1))
  if (odd !== undefined) throw new RangeError(`The share of "${odd[0]}" is ${odd[1]}; it is from 0 to 1.`)
  if (total > 1 + negligible) throw new RangeError(`The shares add up to ${total}; they are at most 1 together.`)
  const missing = new Map(Object.entries(shares))
  const kept = inOrder(previous).flatMap(({ from, to, variant }) => {
    const wanted = missing.get(variant) ?? 0
    const keep = Math.min(to - from, wanted)
    missing.set(variant, wanted - keep)
    return keep > negligible ? [{ from, to: keep === to - from ? to : from + keep, variant }] : []
  })
  const added: Slice[] = []
  const free = gapsOf(kept)
  for (const [variant, share] of missing) {
    let left = share
    while (left > negligible) {
      const gap = free.shift()
      if (gap === undefined) break
      const take = Math.min(left, gap.to - gap.from)
      const to = take === gap.to - gap.from ? gap.to : gap.from + take
      added.push({ from: gap.from, to, variant })
      if (to < gap.to) free.unshift({ from: to, to: gap.to })
      left -= take
    }
  }
  return joined(inOrder([...kept, ...added]))
}

function inOrder(slices: readonly Slice[]): Slice[] {
  return slices.toSorted((a, b) => a.from - b.from)
}

function gapsOf(slices: readonly Slice[]): { from: number; to: number }[] {
  const edges = [0, ...slices.flatMap(({ from, to }) => [from, to]), 1]
  const gaps: { from: number; to: number }[] = []
  for (let i = 0; i < edges.length; i += 2) {
    const [from, to] = [edges[i] as number, edges[i + 1] as number]
    if (to > from) gaps.push({ from, to })
  }
  return gaps
}

function joined(slices: readonly Slice[]): Slice[] {
  const result: Slice[] = []
  for (const slice of slices) {
    const last = result.at(-1)
    if (last !== undefined && last.to === slice.from && last.variant === slice.variant) result.splice(-1, 1, { ...last, to: slice.to })
    else result.push(slice)
  }
  return result
}
