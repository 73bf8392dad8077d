/** C0 and C1 controls, and what changes the direction of text. */
const unsafe = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/**
 * Text of others in one line, with its control characters shown: `\\u001b` and not an escape sequence of a terminal.
 */
export function plainText(text: string): string {
  return text.replaceAll(/[\t\r\n]+/g, ' ').replaceAll(unsafe, escaped)
}

/** The same of several lines. */
export function plainLines(text: string): string[] {
  return text.split(/\r?\n/).map((line) => line.replaceAll('\t', '  ').replaceAll(unsafe, escaped))
}

/** JSON whose strings hold no control character as it is: JSON allows some of them. */
export function plainJson(json: string): string {
  return json.replaceAll(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
