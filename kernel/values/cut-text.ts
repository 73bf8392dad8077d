/** A text of at most `maxLength` characters: a longer one is cut, never within a character, and ends with "…". */
export function cutText(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}
