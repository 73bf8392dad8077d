import { LockstepError } from '../../kernel/errors.ts'
import type { CatalogModel } from '../../registry/catalog.ts'
import { championAlias } from '../../registry/models/model-aliases.ts'
import { variantVersions } from '../../registry/experiments/experiment.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'

interface TriedVersion {
  readonly version: ModelVersion
  /** Whether its trial run ended. */
  readonly tried: boolean
}

/**
 * The versions that may serve next and must be loaded by then: the newest, and those that aliases point at or pointed
 * at last, the pinned one, the candidates of a rollout and a shadow, and the variants of experiments.
 */
export function reserves({ versions, aliases, pin, rollout, shadow, experiments }: CatalogModel): ModelVersion[] {
  const numbers = new Set([
    pin,
    rollout?.version,
    shadow?.version,
    ...variantVersions({ experiments }),
    ...[...aliases.values()].flatMap(({ version, former }) => [version, former.at(-1)]),
  ])
  return versions.filter((each) => each === versions.at(-1) || numbers.has(each.version))
}

/**
 * Whether a version may serve requests by default. If its trial did not end, it serves only requests that name it,
 * unless it was made the champion or pinned anyway.
 */
export function mayAnswer({ aliases, pin }: CatalogModel, { tried, version }: TriedVersion): boolean {
  return tried || (pin ?? aliases.get(championAlias)?.version) === version.version
}

export function requireTried(model: CatalogModel, served: TriedVersion): void {
  if (mayAnswer(model, served)) return
  const { name } = model
  const { version } = served.version
  throw new LockstepError(
    'MODEL_UNAVAILABLE',
    `The trial run of the model "${name}@${version}" on made-up rows did not end in time or crashed the process, so this version is not served. Push a version that works, or promote this one anyway: lockstep model promote ${name}@${version} --untried.`,
    { details: { model: name, version } },
  )
}
