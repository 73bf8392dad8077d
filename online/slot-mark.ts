import { keySlot, slots } from './key-slot.ts'

/**
 * The key of a slot's mark in a cluster: one short key for each slot, for all views, that lies beside the states of
 * that slot and goes where they go. A primary that was emptied has lost its marks with its states, which the
 * checkpoints of views, on other primaries, do not tell.
 *
 *     PREFIX:{TAG}+
 *
 * No state and no checkpoint is called so (redis-key.ts).
 */
export function slotMark(prefix: string, slot: number): string {
  tags ??= makeTags()
  return `${prefix}:{${tags[slot] ?? ''}}+`
}

let tags: readonly string[] | null = null

/** Of each slot the first number, to base 36, that lies in it. */
function makeTags(): string[] {
  const found = new Array<string>(slots)
  for (let [number, left] = [0, slots]; left > 0; number++) {
    const tag = number.toString(36)
    const slot = keySlot(tag)
    if (found[slot] !== undefined) continue
    found[slot] = tag
    left--
  }
  return found
}
