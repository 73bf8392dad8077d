/** The end of a text that comes in pieces, as PostgreSQL can store it: without NUL and halves of characters. */
export interface Tail {
  add(piece: string): void
  text(): string
}

/** Keeps whole lines where it can. @param maxCharacters of what is kept; twice as many are held in between */
export function createTail(maxCharacters: number): Tail {
  let held = ''
  let isCut = false
  return {
    add(piece) {
      held += piece
      if (held.length <= 2 * maxCharacters) return
      held = held.slice(-maxCharacters)
      isCut = true
    },
    text() {
      const kept = held.slice(-maxCharacters).toWellFormed().replaceAll('\0', '\uFFFD')
      if (!isCut && kept.length === held.length) return kept
      const line = kept.indexOf('\n')
      return line < 0 || line === kept.length - 1 ? kept : kept.slice(line + 1)
    },
  }
}
