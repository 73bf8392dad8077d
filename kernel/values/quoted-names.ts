/** Names as messages list them: `"a", "b"`. */
export function quotedNames(names: Iterable<string>): string {
  return Array.from(names, (name) => `"${name}"`).join(', ')
}
