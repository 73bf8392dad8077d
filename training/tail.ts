/** The end of a text that arrives in pieces, without NUL and halves of characters, which PostgreSQL cannot store. */
export interface Tail {
  add(piece: string): void
  text(): string
}

/** Keeps complete lines if it can. @param maxCharacters of the result; up to twice as many are in memory meanwhile */
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
