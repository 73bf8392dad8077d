import type { Kysely } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { changeTransaction } from '../change-transaction.ts'
import type { Definition } from '../definition.ts'
import { championAlias, readModelAliases } from './model-aliases.ts'
import { recordModelEvent } from './model-events.ts'
import type { ModelVersion } from './model-versions.ts'
import { readModelVersions } from './model-versions.ts'
import type { VersionReference } from './pick-version.ts'
import { readModelPins } from './model-pins.ts'
import { freedBy } from '../changes/prune.ts'
import { readRunningExperiments } from '../experiments/experiment.ts'
import { readRunningRollouts } from '../rollouts/rollout.ts'
import { readRunningShadows } from '../rollouts/shadow.ts'
import { bumpRevision } from '../revision.ts'

export interface DeletedVersion {
  readonly deleted: ModelVersion
  /** The definitions that nothing in the registry needs any more without this version. */
  readonly freed: readonly Definition[]
  readonly revision: number
}

/**
 * Deletes a pushed version with its file. Its number is never reused, because logged predictions and notes still refer
 * to it.
 *
 * @param options.dryRun whether only to find what would be deleted
 * @throws LockstepError `UNKNOWN_DEFINITION`; `IN_USE` while an alias points at it, the model is pinned to it, it rolls
 *   out, it is a variant of a running experiment, or it answers requests that name no version
 */
export async function deleteModelVersion(
  db: Database,
  name: string,
  wanted: VersionReference,
  by: Actor,
  { dryRun = false } = {},
): Promise<DeletedVersion> {
  return await changeTransaction(db, dryRun, async (transaction) => {
    const versions = await readModelVersions(transaction, name)
    const deleted = versions.find(({ version }) => version === wanted)
    if (deleted === undefined) throw noVersion(name, wanted, versions)
    const { version } = deleted
    await refuseServed(transaction, name, version, versions)
    for (const { alias, former } of await readModelAliases(transaction, name)) {
      if (!former.includes(version)) continue
      await transaction
        .updateTable('lockstep.model_aliases')
        .set({ former: JSON.stringify(former.filter((each) => each !== version)) })
        .where('model', '=', name)
        .where('alias', '=', alias)
        .execute()
    }
    await transaction.deleteFrom('lockstep.model_versions').where('model', '=', name).where('version', '=', version).execute()
    await recordModelEvent(transaction, { model: name, action: 'remove', alias: null, from: version, to: null, ...by })
    return { deleted, freed: await freedBy(transaction, deleted.service), revision: await bumpRevision(transaction) }
  })
}

async function refuseServed(
  transaction: Kysely<LockstepTables>,
  name: string,
  version: number,
  versions: readonly ModelVersion[],
): Promise<void> {
  const inUse = (why: string): LockstepError =>
    new LockstepError('IN_USE', `The version ${version} of the model "${name}" cannot be deleted: ${why}`, {
      details: { model: name, version },
    })
  const aliases = await readModelAliases(transaction, name)
  const pointing = aliases.filter((each) => each.version === version).map(({ alias }) => `"${alias}"`)
  if (pointing.length > 0)
    throw inUse(`the alias ${pointing.join(' and ')} points to it. Point it to another version, or remove it, first.`)
  if ((await readModelPins(transaction)).get(name) === version)
    throw inUse(`the model is pinned to it. Unpin it first: lockstep model unpin ${name}.`)
  if ((await readRunningRollouts(transaction)).get(name)?.version === version)
    throw inUse(`it rolls out. End the rollout first: lockstep rollout abort ${name}.`)
  if ((await readRunningShadows(transaction)).get(name)?.version === version)
    throw inUse(`it runs in shadow. Stop the shadow first: lockstep shadow stop ${name}.`)
  const experiment = (await readRunningExperiments(transaction)).find(
    (run) => run.model === name && Object.values(run.versions).includes(version),
  )
  if (experiment !== undefined)
    throw inUse(`it is a variant of the experiment "${experiment.name}". Stop it first: lockstep experiment stop ${experiment.name}.`)
  const model = await transaction
    .selectFrom('lockstep.definitions')
    .select('name')
    .where('kind', '=', 'model')
    .where('name', '=', name)
    .where('retired_at', 'is', null)
    .executeTakeFirst()
  const answers = aliases.some(({ alias }) => alias === championAlias) ? undefined : versions.at(-1)?.version
  if (model !== undefined && answers === version)
    throw inUse(
      `it answers requests, as the newest version of a model without a champion. Promote another version first. To remove the model itself, apply a file without it, with --prune --break-models.`,
    )
}

function noVersion(name: string, wanted: VersionReference, versions: readonly ModelVersion[]): LockstepError {
  const existing = versions.length === 0 ? 'it has none' : `it has ${versions.map(({ version }) => version).join(', ')}`
  const what =
    typeof wanted === 'number'
      ? `There is no version ${wanted} of the model "${name}"`
      : `"${wanted}" is an alias; name the version of the model "${name}" by its number`
  return new LockstepError('UNKNOWN_DEFINITION', `${what}: ${existing}.`, { details: { model: name, version: wanted } })
}
