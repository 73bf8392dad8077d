import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { variantsKept } from './kept-units.ts'
import type { RoutingRule } from './routing-rule.ts'
import { unitReader } from './unit-reader.ts'

/** The rules of the running experiments of a model, oldest first. They cover disjoint units. */
export function experimentRules(catalog: Catalog, model: CatalogModel): readonly RoutingRule[] {
  return model.experiments.flatMap((run) => ruleOf(catalog, model, run) ?? [])
}

/**
 * Two independent hashes decide for a unit: one whether it is in the experiment, one which variant it gets. So a unit
 * keeps its variant however the coverage grows.
 */
function ruleOf(catalog: Catalog, model: CatalogModel, run: ExperimentRun): RoutingRule | null {
  const { name, spec, salt, slices, versions } = run
  const plan = anyService(catalog, model, run)
  const unitOf = plan === undefined ? null : unitReader(plan, spec.unit)
  if (unitOf === null) return null
  const targets = Object.entries(versions).map(
    ([variant, version]) => [variant, { version, role: 'arm', experiment: name, variant }] as const,
  )
  return { salt, unitOf, slices, within: coveredPart(run), kept: variantsKept(run), places: new Map(), targets: new Map(targets) }
}

/** The range of units that an experiment covers: its part of its layer, or a layer for it alone. */
function coveredPart({ spec: { layer }, salt, coverage }: ExperimentRun): NonNullable<RoutingRule['within']> {
  if (layer === null) return { salt: `${salt} coverage`, from: 0, to: coverage }
  const { name, from, to } = layer
  return { salt: `layer ${name}`, from, to: coverage === 1 ? to : from + (to - from) * coverage }
}

/** The variants take the same entities, so the service of any says what the unit is. */
function anyService(catalog: Catalog, model: CatalogModel, { versions }: ExperimentRun) {
  const numbers = Object.values(versions)
  return model.versions
    .filter(({ version }) => numbers.includes(version))
    .map(({ service }) => catalog.services.get(service))
    .find((plan) => plan !== undefined)
}
