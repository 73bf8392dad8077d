import type { OutcomePlan } from '../kernel/compile-outcome.ts'
import { compileOutcome } from '../kernel/compile-outcome.ts'
import { compileService } from '../kernel/compile-service.ts'
import { compileView } from '../kernel/compile-view.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { OnDemandCode } from '../kernel/on-demand-step.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { LoadTransform } from '../kernel/transform.ts'
import { loadTransform } from '../kernel/transform.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { Definition, DefinitionKey } from './definition.ts'
import { definitionKey, displayName, references } from './definition.ts'
import { inputsFirst } from './inputs-first.ts'
import type { VerifiedCode } from './verified-code.ts'

/** Kinds that a reference to a broken definition does not break. */
const notCompiled: readonly Definition['kind'][] = ['model', 'channel', 'monitor', 'experiment', 'batch', 'pipeline', 'training']

export interface CompiledDefinitions {
  readonly views: ReadonlyMap<DefinitionId, ViewPlan>
  readonly onDemand: ReadonlyMap<DefinitionId, OnDemandCode>
  readonly services: ReadonlyMap<DefinitionId, ServicePlan>
  readonly outcomes: ReadonlyMap<string, OutcomePlan>
  readonly broken: ReadonlyMap<DefinitionKey, LockstepError>
}

/**
 * Compiles stored definitions, each for itself: one that does not compile breaks those that refer to it and no others.
 *
 * @param load how code becomes a function; what runs on rows and requests has `TransformGuard.load`
 */
export function compileDefinitions(
  definitions: readonly Definition[],
  code: VerifiedCode,
  load: LoadTransform = loadTransform,
): CompiledDefinitions {
  const cursors = new Map(definitions.flatMap((each) => (each.kind === 'source' ? [[each.name, each.operational.cursor] as const] : [])))
  const views = new Map<DefinitionId, ViewPlan>()
  const onDemand = new Map<DefinitionId, OnDemandCode>()
  const services = new Map<DefinitionId, ServicePlan>()
  const outcomes = new Map<string, OutcomePlan>()
  const broken = new Map<DefinitionKey, LockstepError>()
  for (const definition of inputsFirst(definitions, definitionKey, references)) {
    const id: DefinitionId = `${definition.name}@${definition.version}`
    try {
      for (const reference of references(definition)) {
        const error = notCompiled.includes(definition.kind) ? undefined : broken.get(reference)
        if (error !== undefined) throw error
      }
      const { fingerprint } = definition
      if (definition.kind === 'view') {
        const { spec, operational } = definition
        const { maxStateBytes = null, freshnessMicros = null } = operational
        const text = spec.code === null ? null : code.textOf(spec.code, id)
        views.set(
          id,
          compileView({
            spec,
            fingerprint,
            code: text,
            load,
            upkeep: { maxStateBytes, freshnessMicros, cursor: cursors.get(spec.source.name) ?? null },
          }),
        )
      } else if (definition.kind === 'onDemand') {
        const text = code.textOf(definition.spec.code, id)
        load(text, id) // a service that uses it loads it again; here, so that one that no service uses yet is checked too
        onDemand.set(id, { spec: definition.spec, code: text, load })
      } else if (definition.kind === 'service') {
        services.set(id, compileService({ spec: definition.spec, fingerprint, views, onDemand }))
      } else if (definition.kind === 'outcome') {
        const { spec, name } = definition
        const text = spec.code === null ? null : code.textOf(spec.code, name)
        outcomes.set(name, compileOutcome({ spec, fingerprint, code: text, load, figures: definition.operational.figures ?? {} }))
      }
    } catch (error) {
      broken.set(definitionKey(definition), error instanceof LockstepError ? error : uncompiled(definition, error))
    }
  }
  return { views, onDemand, services, outcomes, broken }
}

function uncompiled(definition: Definition, cause: unknown): LockstepError {
  return new LockstepError(
    'INTERNAL',
    `The stored ${displayName(definition)} does not compile: ${messageOf(cause)}. Apply its definitions file again, or declare a new version.`,
    {
      cause,
    },
  )
}
