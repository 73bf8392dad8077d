/**
 * The area under the ROC curve: how often a late flight got a higher score than one that was on time. Ties count half.
 *
 * @param scores numbers; a NaN among them makes the result NaN
 * @returns NaN unless there are flights of both kinds
 */
export function auc(scores: readonly number[], labels: readonly boolean[]): number {
  if (scores.some(Number.isNaN)) return Number.NaN
  const order = scores.map((_, i) => i).sort((a, b) => (scores[a] ?? 0) - (scores[b] ?? 0))
  let positives = 0
  let rankSum = 0
  for (let start = 0; start < order.length;) {
    let end = start + 1
    const score = scores[order[start] ?? 0]
    while (end < order.length && scores[order[end] ?? 0] === score) end++
    const rank = (start + 1 + end) / 2
    for (const i of order.slice(start, end)) {
      if (labels[i] !== true) continue
      positives++
      rankSum += rank
    }
    start = end
  }
  const negatives = scores.length - positives
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
}
