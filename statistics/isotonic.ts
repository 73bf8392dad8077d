import { ascendingOrder } from './ascending-order.ts'
/** Distinct scores, ascending, each with the number of its rows and of the positive ones among them. */
export interface ScoreGroups {
  readonly scores: readonly number[]
  readonly rows: readonly number[]
  readonly positives: readonly number[]
}

export function groupByScore(scores: readonly number[], labels: readonly boolean[]): ScoreGroups {
  const order = ascendingOrder(scores)
  const groups = { scores: [] as number[], rows: [] as number[], positives: [] as number[] }
  for (const index of order) {
    const score = scores[index] as number
    if (score !== groups.scores.at(-1)) {
      groups.scores.push(score)
      groups.rows.push(0)
      groups.positives.push(0)
    }
    const last = groups.scores.length - 1
    groups.rows[last] = (groups.rows[last] as number) + 1
    if (labels[index] === true) groups.positives[last] = (groups.positives[last] as number) + 1
  }
  return groups
}

/**
 * The rising step function that fits the shares of positives best in squares: by group, its value. Pool adjacent
 * violators, O(n). Source: Ayer et al., Ann. Math. Statist. 26 (1955).
 */
export function isotonic({ rows, positives }: Pick<ScoreGroups, 'rows' | 'positives'>): number[] {
  const blocks: { rows: number; positives: number; groups: number }[] = []
  for (const [i, count] of rows.entries()) {
    const block = { rows: count, positives: positives[i] as number, groups: 1 }
    for (let last = blocks.at(-1); last !== undefined && last.positives * block.rows >= block.positives * last.rows; last = blocks.at(-1)) {
      block.rows += last.rows
      block.positives += last.positives
      block.groups += last.groups
      blocks.pop()
    }
    blocks.push(block)
  }
  return blocks.flatMap((block) => new Array<number>(block.groups).fill(block.positives / block.rows))
}
