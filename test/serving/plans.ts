import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import { servingSet } from './definitions.ts'

/** A service of the serving definitions, compiled without a registry. */
export function servicePlan(name: string): ServicePlan {
  const text = (hash: string | null): string | null => (hash === null ? null : (servingSet.code.get(hash) ?? null))
  const views = new Map(
    servingSet.views.map(
      ({ spec, fingerprint }) => [definitionId(spec), compileView({ spec, fingerprint, code: text(spec.code) })] as const,
    ),
  )
  const onDemand = new Map(servingSet.onDemand.map(({ spec }) => [definitionId(spec), { spec, code: text(spec.code) ?? '' }] as const))
  const declared = servingSet.services.find(({ spec }) => spec.name === name)
  if (declared === undefined) throw new Error(`no service ${name}`)
  return compileService({ spec: declared.spec, fingerprint: declared.fingerprint, views, onDemand })
}
