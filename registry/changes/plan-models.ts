import { isDeepStrictEqual } from 'node:util'
import { LockstepError, messageOf, withoutStop } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import { bindVersion } from '../models/bind-version.ts'
import type { Breakage } from './change-plan.ts'
import type { CodeTexts, DefinitionComparison } from './compare.ts'
import { compileDefinitions } from '../compile-definitions.ts'
import type { Definition } from '../definition.ts'
import { displayName, kindOrder } from '../definition.ts'
import type { ModelAlias } from '../models/model-aliases.ts'
import { championAlias } from '../models/model-aliases.ts'
import { haveSameFeatures, withDeclaredInputs } from '../models/declared-inputs.ts'
import { bindModel } from '../models/model-binding.ts'
import type { ModelVersion } from '../models/model-versions.ts'
import type { ExperimentRun } from '../experiments/experiment.ts'
import type { Rollout } from '../rollouts/rollout.ts'
import type { Shadow } from '../rollouts/shadow.ts'

/** The effects of a definitions file on the served model versions. */
export interface ModelsPlan {
  readonly breaks: readonly Breakage[]
  /** `BREAKS_MODEL` errors, one for each version that can no longer be served. */
  readonly problems: readonly LockstepError[]
  readonly notes: readonly string[]
}

export interface PushedVersions {
  readonly versions: readonly ModelVersion[]
  readonly aliases: readonly ModelAlias[]
  /** The pinned version of each model. */
  readonly pins: ReadonlyMap<string, number>
  /** The running rollout of each model. */
  readonly rollouts: ReadonlyMap<string, Rollout>
  /** The running shadow of each model. */
  readonly shadows: ReadonlyMap<string, Shadow>
  /** All that run. */
  readonly experiments: readonly ExperimentRun[]
}

/**
 * Checks that the versions that answer requests, or that an alias points at, still fit their model and its service with
 * the file applied. If a model changes its service, a note says whether the served version would fit the new one.
 *
 * @param staying definitions that are in the registry but not in the file, and are kept
 * @param removed definitions that are in the registry but not in the file, and are pruned
 */
export function planModels(
  comparisons: readonly DefinitionComparison[],
  staying: readonly Definition[],
  removed: readonly Definition[],
  pushed: PushedVersions,
  code: CodeTexts,
): ModelsPlan {
  const plan = { breaks: [] as Breakage[], problems: [] as LockstepError[], notes: [] as string[] }
  const changed = comparisons.filter(
    ({ declared, stored, semantic }) => declared.kind === 'model' && stored !== null && semantic.length > 0,
  )
  for (const { kind, name } of removed) {
    if (kind !== 'model') continue
    for (const { version, as } of servedVersions(name, pushed)) {
      plan.breaks.push({ cause: 'removal of its model', broken: `model "${name}" version ${version.version}, ${as}` })
      plan.problems.push(
        new LockstepError(
          'BREAKS_MODEL',
          `The file no longer has the model "${name}", so its version ${version.version}, ${as}, would be pruned. Declare the model again, apply without --prune, or apply with --break-models.`,
          { details: { model: name, version: version.version } },
        ),
      )
    }
  }
  if (changed.length === 0 || pushed.versions.length === 0) return plan
  // what has a version stays as it is stored, whatever prints the same code in another way
  const next = comparisons.map(({ declared, stored }) => (declared.version > 0 && stored !== null ? stored : declared))
  const lookUp = services([...next, ...staying], code)
  for (const { declared, stored } of changed) {
    if (declared.kind !== 'model' || stored?.kind !== 'model' || stored.retired) continue
    for (const { version, as } of servedVersions(declared.name, pushed)) {
      const broken = `model "${declared.name}" version ${version.version}, ${as}`
      const now = refusal(() => bindVersion(lookUp, declared.spec, version))
      if (now !== null && refusal(() => bindVersion(lookUp, stored.spec, version)) === null) {
        plan.breaks.push({ cause: displayName(declared), broken })
        plan.problems.push(breaksModel(declared.spec, version, as, now))
      } else if (declared.spec.service !== version.service || !isDeepStrictEqual(declared.spec.input, stored.spec.input)) {
        const unfit = refusal(() => {
          const contract = withDeclaredInputs(version.contract, declared.spec)
          bindModel(lookUp.service(declared.spec.service), contract, declared.spec)
        })
        if (unfit !== null)
          // the sentences after the first are for somebody who pushes
          plan.notes.push(`The file of the ${broken}, cannot be pushed again. ${withoutStop(unfit.split(/\. (?=[A-Z])/)[0] ?? unfit)}.`)
        else if (!haveSameFeatures(version.contract, withDeclaredInputs(version.contract, declared.spec)))
          plan.notes.push(
            `The ${broken}, keeps the inputs that it was pushed with. To serve it with those declared now, push its file again.`,
          )
      }
    }
  }
  return plan
}

/**
 * The champion, or the newest version if there is none, the versions that other aliases point at, the pinned one, and
 * the candidates of a rollout and a shadow, and the variants of experiments, each once.
 */
function servedVersions(
  model: string,
  { versions, aliases, pins, rollouts, shadows, experiments }: PushedVersions,
): { readonly version: ModelVersion; readonly as: string }[] {
  const own = versions.filter((version) => version.model === model)
  const pointing = aliases.filter((alias) => alias.model === model)
  const found = new Map<ModelVersion, string>()
  const champion = pointing.find(({ alias }) => alias === championAlias)
  const newest = own.at(-1)
  if (champion === undefined && newest !== undefined) found.set(newest, 'which is served')
  for (const { alias, version } of champion === undefined ? pointing : [champion, ...pointing]) {
    const target = own.find((each) => each.version === version)
    if (target !== undefined && !found.has(target)) found.set(target, alias === championAlias ? 'which is served' : `the "${alias}"`)
  }
  const pinned = own.find((each) => each.version === pins.get(model))
  if (pinned !== undefined && !found.has(pinned)) found.set(pinned, 'to which the model is pinned')
  const candidate = own.find((each) => each.version === rollouts.get(model)?.version)
  if (candidate !== undefined && !found.has(candidate)) found.set(candidate, 'which rolls out')
  const shadow = own.find((each) => each.version === shadows.get(model)?.version)
  if (shadow !== undefined && !found.has(shadow)) found.set(shadow, 'which runs in shadow')
  for (const run of experiments.filter((each) => each.model === model)) {
    for (const version of own.filter((each) => Object.values(run.versions).includes(each.version))) {
      if (!found.has(version)) found.set(version, `a variant of the experiment "${run.name}"`)
    }
  }
  return [...found].map(([version, as]) => ({ version, as }))
}

function services(definitions: readonly Definition[], code: CodeTexts): { service(reference: string): ServicePlan } {
  const compiled = compileDefinitions(
    definitions.toSorted((a, b) => kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind)),
    { textOf: (hash) => code.declared.get(hash) ?? code.stored.get(hash) ?? '' },
  )
  const byId: ReadonlyMap<string, ServicePlan> = compiled.services
  return {
    service(reference) {
      const service = byId.get(reference)
      if (service !== undefined) return service
      throw new LockstepError('UNKNOWN_DEFINITION', `The feature service "${reference}" no longer exists.`, {
        details: { name: reference },
      })
    },
  }
}

/** The message of the error that it throws; null if it does not throw. */
function refusal(check: () => unknown): string | null {
  try {
    check()
    return null
  } catch (error) {
    return messageOf(error)
  }
}

function breaksModel({ name }: ModelSpec, { version }: ModelVersion, as: string, why: string): LockstepError {
  return new LockstepError(
    'BREAKS_MODEL',
    `The change of the model "${name}" breaks its version ${version}, ${as}: ${why} Push a version that fits first, keep what the old one needs, or apply with --break-models.`,
    { details: { model: name, version } },
  )
}
