import { LockstepError } from '../../kernel/errors.ts'

/** How many unchanged lines stand around a change. */
const context = 3

/**
 * The difference of two texts with the same number of lines, in the unified format that `git apply` and `patch -p1`
 * read.
 *
 * @param path the file's path, relative to the folder in which the patch is applied
 */
export function unifiedDiff(path: string, before: string, after: string): string {
  const [old, now] = [before.split('\n'), after.split('\n')]
  if (old.length !== now.length) throw new LockstepError('INTERNAL', 'A patch was asked for texts with other numbers of lines.')
  const end = old.at(-1) === '' ? old.length - 1 : old.length
  const changed = old.flatMap((line, i) => (line === now[i] ? [] : [i]))
  const hunks: string[] = []
  for (let at = 0; at < changed.length;) {
    let last = at
    while (last + 1 < changed.length && (changed[last + 1] as number) - (changed[last] as number) <= 2 * context) last++
    const from = Math.max(0, (changed[at] as number) - context)
    const to = Math.min(end, (changed[last] as number) + context + 1)
    hunks.push(`@@ -${from + 1},${to - from} +${from + 1},${to - from} @@`)
    for (let i = from; i < to;) {
      let next = i
      while (next < to && old[next] !== now[next]) next++
      if (next === i) hunks.push(...written(' ', old, i, ++next))
      else hunks.push(...written('-', old, i, next), ...written('+', now, i, next))
      i = next
    }
    at = last + 1
  }
  return [`--- a/${path}`, `+++ b/${path}`, ...hunks].join('\n')
}

function written(mark: string, lines: readonly string[], from: number, to: number): string[] {
  const isLast = to === lines.length // no line end follows
  return [...lines.slice(from, to).map((line) => `${mark}${line}`), ...(isLast ? ['\\ No newline at end of file'] : [])]
}
