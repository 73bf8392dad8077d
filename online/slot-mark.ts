import { keySlot, slots } from './key-slot.ts'

/**
 * The key of a slot's mark in a cluster: one short key for each slot, for all views. It is stored beside the states of
 * the slot and disappears with them. A primary that was emptied has lost its marks with its states; the checkpoints of
 * views, on other primaries, do not show that.
 *
 *     PREFIX:{TAG}+
 *
 * No state and no checkpoint has such a key (redis-key.ts).
 */
export function slotMark(prefix: string, slot: number): string {
  tags ??= makeTags()
  return `${prefix}:{${tags[slot] ?? ''}}+`
}

let tags: readonly string[] | null = null

/** For each slot the first number, in base 36, that belongs to it. */
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
