/**
 * The growth of a regular expression's steps with the length of the text, in the worst case: `2 ** choices * length **
 * exponent`.
 */
export interface RegexSteps {
  /** Infinity: the growth is exponential. */
  readonly exponent: number
  readonly choices: number
}

interface Group {
  /** Whether its body can match in more than one way. */
  varies: boolean
}

/**
 * An upper bound for a backtracking matcher. A repetition of one character, class or fixed text can end in as many ways
 * as the text is long. If the repeated part can itself match in several ways, as in `(a+)+`, all of these ways
 * multiply.
 */
export function regexSteps(pattern: string, flags: string): RegexSteps {
  // nested sets are not parsed
  if (flags.includes('v')) return { exponent: Number.POSITIVE_INFINITY, choices: 0 }
  const anchored = flags.includes('y') || (pattern.startsWith('^') && !flags.includes('m') && !pattern.includes('|'))
  let exponent = anchored ? 0 : 1
  let choices = 0
  const open: Group[] = [{ varies: false }]
  let last: Group = { varies: false }
  const vary = (): void => {
    for (const group of open) group.varies = true
  }
  for (let at = 0; at < pattern.length;) {
    const char = pattern[at] as string
    if (char === '\\') {
      const escape =
        /^\\(?:[pPu]\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|k<[^>]*>|[1-9]\d*|c[A-Za-z]|.)/su.exec(pattern.slice(at, at + 64))?.[0] ?? '\\'
      // a comparison with the text of a group takes as many steps as that text is long
      if (/^\\[k1-9]/.test(escape)) exponent++
      at += escape.length
      last = { varies: false }
    } else if (char === '[') {
      at++
      while (at < pattern.length && pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1
      at++
      last = { varies: false }
    } else if (char === '(') {
      const head = /^\((?:\?(?:[:=!]|<[=!]|<[^>]*>|[a-z-]*:))?/.exec(pattern.slice(at, at + 128))?.[0] ?? '('
      open.push({ varies: false })
      at += head.length
    } else if (char === ')') {
      last = open.pop() ?? { varies: false }
      at++
    } else if (char === '|') {
      choices++
      vary()
      at++
    } else {
      const quantifier = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(pattern.slice(at, at + 32))
      if (quantifier === null) {
        last = { varies: false }
        at++
        continue
      }
      const [text, least, comma, most] = quantifier
      at += text.length
      if (text.startsWith('?')) {
        choices++
        vary()
      } else if (least !== undefined && comma === '') {
        // an exact count n takes n times the steps
        if (last.varies && Number(least) > 1) exponent = Number.POSITIVE_INFINITY
        choices += Math.log2(Math.max(1, Number(least)))
      } else {
        if (last.varies && most !== '1') exponent = Number.POSITIVE_INFINITY
        exponent++
        vary()
      }
    }
  }
  return { exponent, choices }
}
