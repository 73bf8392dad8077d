/**
 * The order of a spine's rows: that of its file, view or query. A query without ORDER BY is ordered by its values,
 * because SQL then guarantees no order.
 */
export type SpineOrder = 'given' | 'values'

/**
 * Whether a query orders its own rows: it has ORDER BY outside of all parentheses, texts and comments. For a query in
 * parentheses, their content decides.
 */
export function ordersItself(query: string): boolean {
  const { words, inner } = outline(query)
  const ordered = words.some((word, i) => word === 'order' && words[i + 1] === 'by')
  const combined = words.some((word) => word === 'union' || word === 'intersect' || word === 'except')
  return ordered || (inner !== null && !combined && ordersItself(inner))
}

const quoted = [
  /--[^\n]*/y,
  /[eE]'(?:[^'\\]|\\[^]|'')*'/y,
  /'(?:[^']|'')*'/y,
  /"(?:[^"]|"")*"/y,
  /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[^]*?\$\1\$/y,
]
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y

/**
 * The words outside of parentheses, in lower case, and the content of the parentheses that the query begins with, if it
 * does.
 */
function outline(query: string): { readonly words: readonly string[]; readonly inner: string | null } {
  const words: string[] = []
  let inner: string | null = null
  let depth = 0
  let opened = -1
  for (let at = 0; at < query.length;) {
    const after = endOfComment(query, at) ?? endOf(quoted, query, at)
    if (after !== null) {
      at = after
      continue
    }
    const end = endOf([word], query, at)
    if (end !== null) {
      if (depth === 0) words.push(query.slice(at, end).toLowerCase())
      at = end
      continue
    }
    const char = query[at]
    if (char === '(' || char === '[') {
      if (depth === 0 && words.length === 0 && inner === null) opened = at + 1
      depth++
    }
    if (char === ')' || char === ']') {
      depth--
      if (depth === 0 && opened >= 0 && inner === null) inner = query.slice(opened, at)
    }
    at++
  }
  return { words, inner }
}

function endOf(patterns: readonly RegExp[], text: string, at: number): number | null {
  for (const pattern of patterns) {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) return at + found[0].length
  }
  return null
}

/** Comments in PostgreSQL nest. */
function endOfComment(text: string, from: number): number | null {
  if (!text.startsWith('/*', from)) return null
  let depth = 0
  let at = from
  do {
    const opens = text.startsWith('/*', at)
    const closes = text.startsWith('*/', at)
    if (opens) depth++
    if (closes) depth--
    at += opens || closes ? 2 : 1
  } while (depth > 0 && at < text.length)
  return at
}
