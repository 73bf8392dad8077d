import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { callerErrorCodes } from '../../monitoring/alerts/checks/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { beforeDeadline, requireTime } from '../traffic/request-deadline.ts'
import type { VersionAssignment } from './assign-versions.ts'
import { assignVersions, championInstead } from './assign-versions.ts'
import type { FailedVersion, Failure, Predicted, PredictContext, PredictRequest } from './predict.ts'
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

/** Whether a rollout or an experiment chose the version, or the champion answers in its place. */
function isCandidate({ role, bypassed }: VersionAssignment): boolean {
  return role === 'canary' || role === 'arm' || bypassed !== undefined
}

/** The share of the time left that candidates may use. The rest is the champion's, if they fail. */
const candidateShare = 0.7

type FailedCandidate = FailedVersion & Pick<Failure, 'error'>

/** Candidates must not fail a request: the champion answers the rows of those that fail or take too long. */
async function predictOrBypass<Answer>(
  context: PredictContext,
  request: PredictRequest & { readonly catalog: Catalog },
  assignments: readonly VersionAssignment[],
  encode: (predicted: Predicted) => Answer,
): Promise<Answer> {
  const { models } = context
  const { model, deadline, catalog } = request
  const champion = models.answering(catalog, catalog.model(model))?.version
  let left = assignments
  let failed: readonly FailedCandidate[] = none
  for (;;) {
    const candidates = candidatesOf(left, champion)
    let failure: Failure | null = null
    try {
      const answer =
        candidates.length === 0
          ? await predictAssigned(context, request, left, encode, (its) => void (failure = its))
          : await inShareOfTime(context, request, left, encode, (its) => (failure ??= its))
      for (const each of left) note(context, model, each, candidates, failed)
      for (const each of failed) context.rollups.bypassed(model, each.version, each.role, each.error)
      return answer
    } catch (error) {
      const culprits = isOfCaller(error) ? none : culpritsOf(failure, candidates)
      if (champion === undefined || culprits.length === 0) {
        reportAll(context, model, failed, failure)
        throw error
      }
      const role = (version: number) => left.find((each) => each.version === version)?.role ?? 'canary'
      const served = (version: number) => failure?.versions.find((each) => each.version === version)?.served ?? null
      failed = [...failed, ...culprits.map((version) => ({ version, role: role(version), served: served(version), error }))]
      try {
        // with no time left the request fails as it would have
        requireTime(deadline)
      } catch (late) {
        reportAll(context, model, failed, null)
        throw late
      }
      left = left.map((each) => (culprits.some((version) => each.version === version) ? championInstead(each) : each))
    }
  }
}

const none: readonly never[] = []

/** Versions of candidates that are not the champion itself. */
function candidatesOf(assignments: readonly VersionAssignment[], champion: number | undefined): readonly number[] {
  const [first] = assignments
  if (assignments.length === 1 && first !== undefined) return candidateOf(first, champion)
  return [...new Set(assignments.flatMap((each) => candidateOf(each, champion)))]
}

function candidateOf({ role, version }: VersionAssignment, champion: number | undefined): readonly number[] {
  return (role === 'canary' || role === 'arm') && typeof version === 'number' && version !== champion ? [version] : none
}

/** Predicts in the candidates' share of the time that is left. @param onFailed may be called after that time, too */
function inShareOfTime<Answer>(
  context: PredictContext,
  request: PredictRequest,
  assignments: readonly VersionAssignment[],
  encode: (predicted: Predicted) => Answer,
  onFailed: (failure: Failure) => void,
): Promise<Answer> {
  const { deadline } = request
  if (deadline === undefined || deadline.at === Number.POSITIVE_INFINITY)
    return predictAssigned(context, request, assignments, encode, onFailed)
  const now = performance.now()
  const own = { at: now + Math.max(0, deadline.at - now) * candidateShare, limitMs: deadline.limitMs }
  return beforeDeadline(own, predictAssigned(context, { ...request, deadline: own }, assignments, encode, onFailed))
}

/** The candidates whose fault it is; those that only came late are not known, so it is all of them. */
function culpritsOf(failure: Failure | null, candidates: readonly number[]): readonly number[] {
  if (failure === null || !failure.isTheirs) return candidates
  return candidates.filter((candidate) => failure.versions.some(({ version }) => version === candidate))
}

/** The request failed: with the candidates, and then with what answers in their place. */
function reportAll(context: PredictContext, model: string, failed: readonly FailedCandidate[], failure: Failure | null): void {
  // without this, an entity whose rows no version can answer would count against the version that happens to get it
  const all = [...failed, failure]
  const isOfRows = failed.length > 0 && all.every((each) => each?.error instanceof LockstepError && rowErrorCodes.has(each.error.code))
  for (const { error, ...version } of failed) reportFailure(context, model, { error, isTheirs: true, versions: [version] }, isOfRows)
  if (failure !== null) reportFailure(context, model, failure, isOfRows)
}

/** Errors that come from the rows of a request, and not from how the server does. */
const rowErrorCodes: ReadonlySet<string> = new Set<ErrorCode>(['MODEL_FAILED', 'TRANSFORM_FAILED'])

function note(
  { bypass }: PredictContext,
  model: string,
  { version, bypassed, rows }: VersionAssignment,
  candidates: readonly number[],
  failed: readonly FailedCandidate[],
): void {
  if (bypassed !== undefined) {
    const isNew = failed.some((each) => each.version === bypassed)
    bypass.madeGood(model, bypassed, rows.length, isNew)
  } else if (bypass.isActive && typeof version === 'number' && candidates.includes(version)) bypass.answered(model, version, rows.length)
}

/** Such an error would come from the champion as well. */
function isOfCaller(error: unknown): boolean {
  return error instanceof LockstepError && (callerErrorCodes.has(error.code) || error.code === 'STOPPED')
}
