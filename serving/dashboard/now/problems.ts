import type { ProblemSources } from '../../../monitoring/problems/find-problems.ts'
import { noDetails } from '../../../monitoring/problems/find-problems.ts'
import type { FoundProblem, Problem } from '../../../monitoring/problems/problem.ts'
import type { CatalogModel } from '../../../registry/catalog.ts'
import { noWorker } from '../../../runtime/postgres/worker-sessions.ts'
import type { Readiness } from '../../../runtime/workers/messages.ts'
import type { NowData } from '../contract/now.ts'
import type { PipelineLine } from '../contract/pipelines.ts'

/** What a server and its workers lack, except texts about a view that has a problem which is as severe. */
export function readinessProblems({ reasons, warnings }: Readiness, { storeFailure }: ProblemSources, found: readonly FoundProblem[]) {
  const problems = (severity: 'page' | 'warn', texts: readonly string[]): FoundProblem[] => {
    const severe = found.filter((problem) => problem.link.kind === 'view' && (severity === 'warn' || problem.severity === 'page'))
    const isFound = (text: string): boolean =>
      text === noWorker || text === storeFailure || severe.some(({ link }) => text.includes(`view "${link.id}"`))
    return texts
      .filter((text) => !isFound(text))
      .map((what) => alone({ ...noDetails, severity, what, link: { kind: 'now', id: '' }, command: 'lockstep doctor' }))
  }
  return [...problems('page', reasons), ...problems('warn', warnings)]
}

/** A problem that has nothing to do with others. */
function alone(problem: Problem): FoundProblem {
  return { ...problem, id: `${problem.link.kind} ${problem.link.id} ${problem.what}`, causes: [], follows: [] }
}

export function modelProblems({ name, pin, rollout }: CatalogModel): FoundProblem[] {
  const problems: FoundProblem[] = []
  if (pin !== null) {
    const what = `The model "${name}" is pinned to version ${pin}: rollouts and experiments do not answer.`
    problems.push(
      alone({ ...noDetails, severity: 'info', what, link: { kind: 'model', id: name }, command: `lockstep model unpin ${name}` }),
    )
  }
  if (rollout !== null && rollout.paused) {
    const what = `The rollout of ${name}@${rollout.version} is paused.`
    const since = rollout.since.toISOString()
    problems.push(
      alone({
        ...noDetails,
        severity: 'info',
        what,
        since,
        link: { kind: 'rollout', id: name },
        command: `lockstep rollout resume ${name}`,
      }),
    )
  }
  return problems
}

/** By the state of a pipeline: what it says, and the cause from which it may follow. */
const pipelineStates = {
  waits: { present: 'waits', past: 'waited', severity: 'warn', follows: ['store'] },
  paused: { present: 'is paused', past: 'was paused', severity: 'info', follows: [] },
  'no worker': { present: 'does not run', past: 'did not run', severity: 'warn', follows: ['worker'] },
  broken: { present: 'does not run', past: 'did not run', severity: 'warn', follows: [] },
} as const

export function pipelineProblem({ name, state, says, lastError }: PipelineLine, isPast: boolean): FoundProblem[] {
  if (state === 'running' || state === 'not recorded') return []
  const { present, past, severity, follows } = pipelineStates[state]
  const problem: Problem = {
    ...noDetails,
    severity,
    what: `The pipeline "${name}" ${isPast ? past : present}.`,
    cause: state === 'waits' ? (lastError?.text ?? null) : says,
    link: { kind: 'pipeline', id: name },
    command: `lockstep pipeline show ${name}`,
  }
  return [{ ...problem, id: `pipeline ${name}`, causes: [], follows }]
}

/** One sentence on the problems that a page lists, with the count of each sort. */
export function headlineOf(problems: readonly Problem[], isPast: boolean): Pick<NowData, 'headline' | 'isWell'> {
  const serious = problems.filter(({ severity }) => severity !== 'info')
  const notices = problems.length - serious.length
  const noticed = notices === 0 ? '' : notices === 1 ? '1 notice' : `${notices} notices`
  if (serious.length === 0) {
    if (noticed !== '') return { headline: `${isPast ? 'All was well then' : 'All is well'}, with ${noticed}.`, isWell: true }
    return { headline: isPast ? 'No alert fired then, and no job had failed in the day before.' : 'All is well.', isWell: true }
  }
  const urgent = serious.filter(({ severity }) => severity === 'page').length
  const counted = `${serious.length} ${urgent === serious.length ? 'urgent ' : ''}${serious.length === 1 ? 'problem' : 'problems'}`
  const mixed = urgent > 0 && urgent < serious.length ? `, ${urgent} of them urgent${noticed === '' ? '' : ','}` : ''
  return { headline: `${counted}${mixed}${noticed === '' ? '' : ` and ${noticed}`}.`, isWell: false }
}
