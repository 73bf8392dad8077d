import type { ProblemSources } from '../../monitoring/problems/find-problems.ts'
import type { GroupedProblem } from '../../monitoring/problems/problem.ts'

/** The fault, its likely cause and its consequences, in sentences. */
export function problemSentences({ what, cause, consequences }: GroupedProblem): string[] {
  return [
    sentence(what),
    ...(cause === null ? [] : [`Likely cause: ${cause}`]),
    ...consequences.map((each) => `Likely follows from it: ${sentence(each.what)}`),
  ]
}

/** A line for each problem under a name for its kind, and indented lines for its cause and what follows. */
export function problemLines(
  problems: readonly GroupedProblem[],
  {
    lacks,
    views,
  }: {
    readonly lacks: readonly { readonly view: string }[]
    readonly views: readonly Pick<ProblemSources['views'][number], 'view' | 'late'>[]
  },
): string[] {
  const nameOf = ({ id, link }: GroupedProblem): string => {
    if (id === 'store') return 'online store'
    if (id === 'worker') return 'no worker'
    if (id === 'rollups') return 'statistics'
    if (link.kind !== 'view') return link.kind
    if (lacks.some(({ view }) => view === link.id)) return 'not ready'
    return views.some(({ view, late }) => view === link.id && late !== null) ? 'late' : 'failing'
  }
  return problems.flatMap((problem) => {
    const [what, ...more] = problemSentences(problem)
    return [`${nameOf(problem)}: ${what}`, ...more.map((text) => `  ${text}`)]
  })
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}
