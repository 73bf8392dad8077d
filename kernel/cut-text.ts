/** A text of at most `most` characters: a longer one is cut, never within a character, and ends with "…". */
export function cutText(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}
