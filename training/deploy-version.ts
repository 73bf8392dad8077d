import { loadCatalog } from '../registry/catalog.ts'
import { championAlias } from '../registry/models/model-aliases.ts'
import { promoteModel } from '../registry/models/promote.ts'
import { startRollout } from '../registry/rollouts/change-rollout.ts'
import { rolloutOfRun } from '../registry/trainings/read-runs.ts'
import type { TrainingResult } from '../registry/trainings/training-run.ts'
import { actorOfRun } from '../registry/trainings/training-run.ts'
import { planText } from '../registry/trainings/training-text.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { faultPoint } from '../runtime/fault-point.ts'
import type { TrainingJob } from './training-job.ts'

export interface DeployOptions {
  /** Whether webhooks of gates may have private addresses. */
  readonly allowPrivate: boolean
}

/**
 * Promotes the version of a run, or starts its rollout: once, however often the step runs.
 *
 * @returns what was done, in words; null: nothing was to be done
 * @throws LockstepError what `promoteModel` and `startRollout` throw
 */
export async function deployVersion(
  { db, allowPrivate }: DeployOptions & { readonly db: Database },
  job: TrainingJob,
  { version }: TrainingResult,
  signal: AbortSignal,
): Promise<string | null> {
  const { name, model, deploy } = job.spec.training
  if (version === null || deploy === 'nothing') return null
  const by = { actor: actorOfRun(job), reason: `trained by "${name}"` }
  const { aliases } = (await loadCatalog(db)).model(model)
  const champion = aliases.get(championAlias)?.version
  if (deploy === 'promote') {
    if (champion !== version && !(await wasPromoted(db, model, version, by.actor)))
      await promoteModel(db, model, version, by, championAlias, { signal })
    faultPoint('training: version promoted')
    return `promoted version ${version} to champion`
  }
  if (champion === version) return `version ${version} is the champion, so nothing rolls out`
  if (champion === undefined)
    return `started no rollout, as ${model} has no champion to compare with: lockstep model promote ${model}@${version}`
  if ((await rolloutOfRun(db, job, model, version)) === null)
    await startRollout(db, model, { version, plan: deploy.rollout }, by, { signal, allowPrivate })
  return `started a rollout of version ${version} by ${planText(deploy)}`
}

async function wasPromoted({ kysely }: Database, model: string, version: number, actor: string): Promise<boolean> {
  const event = await kysely
    .selectFrom('lockstep.model_events')
    .select('id')
    .where('model', '=', model)
    .where('action', '=', 'promote')
    .where('to_version', '=', version)
    .where('actor', '=', actor)
    .executeTakeFirst()
  return event !== undefined
}
