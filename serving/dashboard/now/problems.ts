import type { Alert } from '../../../monitoring/alerts/read-alerts.ts'
import { summaryOf } from '../../../monitoring/alerts/alert-message.ts'
import type { ViewFreshness } from '../../../monitoring/freshness/view-freshness.ts'
import { formatDuration } from '../../../kernel/duration.ts'
import { formatTimestamp } from '../../../kernel/time.ts'
import type { CatalogModel } from '../../../registry/catalog.ts'
import type { Job } from '../../../runtime/jobs/read-jobs.ts'
import type { Readiness } from '../../lifecycle/server-status.ts'
import type { Link } from '../contract/answer.ts'
import type { Problem } from '../contract/now.ts'
import type { PipelineLine } from '../contract/pipelines.ts'

const none = { since: null, cause: null, todo: null, owner: null, command: null } as const

/** What a server, its stores and its workers lack. */
export function readinessProblems({ reasons, warnings }: Readiness, late: ReadonlySet<string>): Problem[] {
  const link: Link = { kind: 'now', id: '' }
  const command = 'lockstep doctor'
  return [
    ...reasons.map((what): Problem => ({ ...none, severity: 'page', what, link, command })),
    // a late view has a line of its own
    ...warnings.filter((what) => !late.has(what)).map((what): Problem => ({ ...none, severity: 'warn', what, link, command })),
  ]
}

export function alertProblem(alert: Alert): Problem {
  const { id, severity, started, startedWith, silencedUntil, runbook, monitor, check, subject } = alert
  const silenced = silencedUntil === null ? '' : ` (silenced until ${silencedUntil.toISOString()})`
  return {
    ...none,
    severity: silencedUntil !== null ? 'info' : severity === 'page' ? 'page' : 'warn',
    what: `${summaryOf({ monitor, check, subject, cause: null, event: 'firing' })}${silenced}`,
    since: formatTimestamp(started),
    cause: startedWith.cause,
    todo: runbook === null ? null : `Follow the runbook: ${runbook}`,
    link: { kind: 'alert', id: String(id) },
    command: `lockstep alert show ${id}`,
  }
}

export function jobProblem({ id, kind, subject, error, finishedAt }: Job): Problem {
  return {
    ...none,
    severity: 'warn',
    what: `The job ${id} (${kind} of ${subject}) failed.`,
    since: finishedAt?.toISOString() ?? null,
    cause: error?.message ?? null,
    todo: 'Remove the cause, and retry the job.',
    link: { kind: 'job', id: String(id) },
    command: `lockstep job retry ${id}`,
  }
}

export function viewProblems({ view, late, lag, failing, setAside }: ViewFreshness, now: number): Problem[] {
  const link: Link = { kind: 'view', id: view }
  const problems: Problem[] = []
  if (late !== null) {
    const since = lag === null || lag.seconds === 0 ? null : formatTimestamp(Math.round(now - lag.seconds * 1e6))
    const cause = failing === null ? null : failingText(failing)
    problems.push({ ...none, severity: 'warn', what: late, since, cause, link, command: `lockstep materialize ${view}` })
  } else if (failing !== null) {
    problems.push({
      ...none,
      severity: 'warn',
      what: `The view "${view}" is not refreshed: ${failingText(failing)}`,
      link,
      command: 'lockstep status',
    })
  }
  if (setAside.entities > 0) {
    const what = `${setAside.entities} ${setAside.entities === 1 ? 'entity' : 'entities'} of the view "${view}" have no state online: their rows cannot be folded.`
    const cause = setAside.messages[0] ?? null
    problems.push({ ...none, severity: 'warn', what, cause, link, command: 'lockstep status' })
  }
  return problems
}

function failingText({ runs, seconds }: NonNullable<ViewFreshness['failing']>): string {
  return `its last ${runs} runs failed, for ${formatDuration(Math.max(1, Math.floor(seconds)) * 1e6)}.`
}

export function modelProblems({ name, pin, rollout }: CatalogModel): Problem[] {
  const problems: Problem[] = []
  if (pin !== null) {
    const what = `The model "${name}" is pinned to version ${pin}: rollouts and experiments do not answer.`
    problems.push({ ...none, severity: 'info', what, link: { kind: 'model', id: name }, command: `lockstep model unpin ${name}` })
  }
  if (rollout !== null && rollout.paused) {
    const what = `The rollout of ${name}@${rollout.version} is paused.`
    const since = rollout.since.toISOString()
    problems.push({
      ...none,
      severity: 'info',
      what,
      since,
      link: { kind: 'rollout', id: name },
      command: `lockstep rollout resume ${name}`,
    })
  }
  return problems
}

export function pipelineProblem({ name, state, says, lastError }: PipelineLine): Problem[] {
  if (state === 'running') return []
  const link: Link = { kind: 'pipeline', id: name }
  const what = `The pipeline "${name}" ${state === 'waits' ? 'waits' : state === 'paused' ? 'is paused' : 'does not run'}.`
  const cause = state === 'waits' ? (lastError?.text ?? null) : says
  return [{ ...none, severity: state === 'paused' ? 'info' : 'warn', what, cause, link, command: `lockstep pipeline show ${name}` }]
}
