import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { PartitionOptions } from '../../offline/partition/fold-partition.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Definition, DefinitionKey } from '../../registry/definition.ts'
import { definitionKey, references, storedDefinitions } from '../../registry/definition.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import { parseModelReference, pickVersion } from '../../registry/models/pick-version.ts'
import { storedCode } from '../../registry/verified-code.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { PlanBody } from './engine-plan.ts'
import { planBytes } from './engine-plan.ts'

/** The content of a plan. */
export interface ExportedPlan {
  readonly service: ServicePlan
  /** `delay@3` */
  readonly model: string | null
  readonly bytes: Uint8Array
}

/**
 * Makes a plan file of what the registry has of a service, with the rule of time of a training set.
 *
 * @param model the model whose predictions the plan computes as well; absent: none
 * @throws LockstepError `UNKNOWN_DEFINITION`; `MODEL_MISMATCH` where the model has another service
 */
export async function exportPlan(
  db: Database,
  catalog: Catalog,
  request: { readonly service: string; readonly model?: string | undefined; readonly rule: PartitionOptions },
): Promise<ExportedPlan> {
  const service = catalog.service(request.service)
  const [model, bytes] = request.model === undefined ? [null, null] : await modelOf(db, catalog, service, request.model)
  const definitions = within(await storedDefinitions(db.kysely), `service ${service.id}`)
  const body: PlanBody = {
    service: { id: service.id, fingerprint: service.fingerprint },
    definitions,
    code: Object.fromEntries(await storedCode(db.kysely, definitions)),
    rule: request.rule,
    model,
  }
  return { service, model: model?.name ?? null, bytes: planBytes(body, bytes) }
}

async function modelOf(
  db: Database,
  catalog: Catalog,
  service: ServicePlan,
  named: string,
): Promise<[NonNullable<PlanBody['model']>, Uint8Array]> {
  const reference = parseModelReference(named)
  const found = catalog.model(reference.model)
  const version = pickVersion(found, reference.version)
  const bound = bindVersion(catalog, found.spec, version)
  const name = `${found.name}@${version.version}`
  if (bound.service.id !== service.id) {
    throw new LockstepError(
      'MODEL_MISMATCH',
      `The model "${name}" takes the features of "${bound.service.id}", not of "${service.id}". Export the plan of that service.`,
      { details: { model: name, service: bound.service.id } },
    )
  }
  const bytes = await readModelBytes(db, found.name, version.version)
  const { contract, sha256 } = version
  return [{ name, spec: found.spec, operational: found.operational, contract, sha256, bytes: bytes.length }, bytes]
}

/** A definition and all that it refers to. */
function within(definitions: readonly Definition[], root: DefinitionKey): Definition[] {
  const wanted = new Set<DefinitionKey>([root])
  for (const key of wanted) {
    const definition = definitions.find((each) => definitionKey(each) === key)
    for (const reference of definition === undefined ? [] : references(definition)) wanted.add(reference)
  }
  return definitions.filter((each) => wanted.has(definitionKey(each)))
}
