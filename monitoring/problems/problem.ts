/** Something that has a page: a view, an alert. */
export interface Thing {
  readonly kind: 'alert' | 'job' | 'view' | 'source' | 'model' | 'rollout' | 'pipeline' | 'now'
  readonly id: string
}

/** Something that is wrong. */
export interface Problem {
  readonly severity: 'page' | 'warn' | 'info'
  /** A sentence. */
  readonly what: string
  /** RFC 3339; null: not known. */
  readonly since: string | null
  /** Likely. */
  readonly cause: string | null
  readonly todo: string | null
  readonly link: Thing
  /** The subject, if the link leads elsewhere; null: the link names it. */
  readonly about: Thing | null
  readonly command: string | null
}

/** A problem as it was found, with its possible causes. */
export interface FoundProblem extends Problem {
  /** Its name among problems: `view spending@1`. If several have one name, the first is the cause of the others. */
  readonly id: string
  /** Further names by which others may follow from it. */
  readonly causes: readonly string[]
  /** Names of what it may follow from, the likeliest first. Those that are not found do not count. */
  readonly follows: readonly string[]
}

/** A cause, with what follows from it. */
export interface GroupedProblem extends Problem {
  readonly id: string
  /** The worst first. */
  readonly consequences: readonly Problem[]
}

const ranks = { page: 0, warn: 1, info: 2 } as const

/**
 * One problem for each cause, the worst first. A cause is as severe as the worst that follows from it, and lasts since
 * the first of them if it is not known since when it lasts.
 */
export function groupProblems(found: readonly FoundProblem[]): GroupedProblem[] {
  const byName = new Map<string, FoundProblem>()
  for (const problem of found) if (!byName.has(problem.id)) byName.set(problem.id, problem)
  for (const problem of found) for (const name of problem.causes) if (!byName.has(name)) byName.set(name, problem)
  const causeOf = (problem: FoundProblem): FoundProblem | undefined =>
    [...problem.follows, problem.id].map((name) => byName.get(name)).find((cause) => cause !== undefined && cause !== problem)
  const rootOf = (problem: FoundProblem): FoundProblem => {
    const passed = new Set([problem])
    for (let root = problem; ;) {
      const cause = causeOf(root)
      if (cause === undefined) return root
      // a circle has no first cause: each of its members is one
      if (passed.has(cause)) return cause
      passed.add(cause)
      root = cause
    }
  }
  return Array.from(Map.groupBy(found, rootOf), ([root, all]) =>
    grouped(root, bySeverity(all.filter((problem) => problem !== root))),
  ).toSorted(compare)
}

function grouped(root: FoundProblem, following: readonly FoundProblem[]): GroupedProblem {
  const [worst = root] = bySeverity([root, ...following])
  const [first = null] = following.flatMap(({ since }) => since ?? []).toSorted()
  return { id: root.id, ...problemOf(root), severity: worst.severity, since: root.since ?? first, consequences: following.map(problemOf) }
}

function problemOf({ severity, what, since, cause, todo, link, about, command }: Problem): Problem {
  return { severity, what, since, cause, todo, link, about, command }
}

function bySeverity(problems: readonly FoundProblem[]): FoundProblem[] {
  return problems.toSorted(compare)
}

function compare(a: Problem, b: Problem): number {
  return ranks[a.severity] - ranks[b.severity]
}
