import { LockstepError } from '../../kernel/errors.ts'
import { ofCaller } from '../../monitoring/alerts/checks/errors.ts'
import type { RequestDeadline } from '../traffic/request-deadline.ts'
import { beforeDeadline, requireTime } from '../traffic/request-deadline.ts'
import type { VersionAssignment } from './assign-versions.ts'
import { assignVersions, inPlaceOf } from './assign-versions.ts'
import type { FailedVersion, FailureReporter, Predicted, PredictContext, PredictRequest } from './predict.ts'
import { predictAssigned, reportFailure } from './predict.ts'

/**
 * Routes the rows of a request to versions, and predicts them. Every protocol calls it.
 *
 *     route rows to versions -> predict -- a candidate fails --> predict again, with the champion in its place
 *
 * @param encode makes the answer, while the models are loaded. If it throws, nothing is logged.
 * @throws LockstepError `UNKNOWN_DEFINITION`, `DEADLINE_EXCEEDED`, and what the model host, the read of features and
 *   the models throw
 */
export function predict<Answer>(
  context: PredictContext,
  request: PredictRequest,
  encode: (predicted: Predicted) => Answer,
): Promise<Answer> {
  const catalog = request.catalog ?? context.catalog()
  const assignments = assignVersions(request, catalog, context.models, context.bypass)
  const own = { ...request, catalog }
  return assignments.some(isCandidate)
    ? predictOrBypass(context, own, assignments, encode)
    : predictAssigned(context, own, assignments, encode)
}

/** Whether a rollout or an experiment gave rows to a version of its own, or rows are answered in its place. */
function isCandidate({ role, bypassed }: VersionAssignment): boolean {
  return role === 'canary' || role === 'arm' || bypassed !== undefined
}

/** The share of the time left that candidates may use. The rest is the champion's, if they fail. */
const candidateShare = 0.7

/** Candidates must not fail a request: the champion answers the rows of those that fail or take too long. */
async function predictOrBypass<Answer>(
  context: PredictContext,
  request: PredictRequest,
  assignments: readonly VersionAssignment[],
  encode: (predicted: Predicted) => Answer,
): Promise<Answer> {
  const { models } = context
  const { model, deadline } = request
  const catalog = request.catalog ?? context.catalog()
  const champion = models.answering(catalog, catalog.model(model))?.version
  let left = assignments
  const failed = new Set<number>()
  for (;;) {
    const candidates = new Set(left.flatMap((each) => candidateOf(each, champion)))
    const attempt = candidates.size === 0 ? deadline : shortened(deadline)
    let reported: Parameters<FailureReporter> | null = null
    const work = predictAssigned(
      context,
      { ...request, ...(attempt !== undefined && { deadline: attempt }) },
      left,
      encode,
      candidates.size === 0 ? reportFailure : (...report) => (reported ??= report),
    )
    try {
      const answer = attempt === undefined || attempt === deadline ? await work : await beforeDeadline(attempt, work)
      for (const each of left) note(context, model, each, candidates, failed)
      return answer
    } catch (error) {
      const report = reported as Parameters<FailureReporter> | null
      const culprits = culpritsOf(report, candidates)
      if (champion === undefined || culprits.length === 0 || isOfCaller(error)) {
        if (report !== null) reportFailure(...report)
        throw error
      }
      for (const version of culprits) {
        const role = left.find((each) => each.version === version)?.role ?? 'canary'
        context.rollups.failed(model, version, role, error)
        failed.add(version)
      }
      // with no time left the request fails as it would have
      requireTime(deadline)
      left = left.map((each) => (culprits.some((version) => each.version === version) ? inPlaceOf(each) : each))
    }
  }
}

/** The version of a candidate that is not the champion itself. */
function candidateOf({ role, version }: VersionAssignment, champion: number | undefined): number[] {
  return (role === 'canary' || role === 'arm') && typeof version === 'number' && version !== champion ? [version] : []
}

/** The candidates whose fault it is; those that only came late are not known, so it is all of them. */
function culpritsOf(report: Parameters<FailureReporter> | null, candidates: ReadonlySet<number>): number[] {
  if (report === null) return [...candidates]
  const [, , , versions, isTheirs] = report
  if (!isTheirs) return [...candidates]
  return [...candidates].filter((candidate) => versions.some(({ version }: FailedVersion) => version === candidate))
}

function note(
  { bypass }: PredictContext,
  model: string,
  { version, bypassed, rows }: VersionAssignment,
  candidates: ReadonlySet<number>,
  failed: ReadonlySet<number>,
): void {
  if (bypassed !== undefined) bypass.madeGood(model, bypassed, rows.length, failed.has(bypassed))
  else if (bypass.isActive && typeof version === 'number' && candidates.has(version)) bypass.answered(model, version, rows.length)
}

function shortened(deadline: RequestDeadline | undefined): RequestDeadline | undefined {
  if (deadline === undefined || deadline.at === Number.POSITIVE_INFINITY) return undefined
  const now = performance.now()
  const leftMs = Math.max(0, deadline.at - now) * candidateShare
  return { at: now + leftMs, limitMs: deadline.limitMs }
}

/** Such an error would come from the champion as well. */
function isOfCaller(error: unknown): boolean {
  return error instanceof LockstepError && (ofCaller.has(error.code) || error.code === 'STOPPED')
}
