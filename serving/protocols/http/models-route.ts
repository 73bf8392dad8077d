import type { CatalogModel } from '../../../registry/catalog.ts'
import { aliasesOf } from '../../../registry/model-aliases.ts'
import type { ModelVersion } from '../../../registry/model-versions.ts'
import { pickVersion, versionReference } from '../../../registry/pick-version.ts'
import { typeName } from '../../../kernel/value-type.ts'
import { modelAnswer, modelsAnswer, modelVersionAnswer } from './response-schemas.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './context.ts'
import { jsonAnswer } from './context.ts'
import type { Route } from './route.ts'

/** The routes that show models. */
export const modelRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/models',
    scope: 'read',
    summary: 'Every model with its versions',
    tag: 'Models',
    answer: modelsAnswer,
    handle: answerModels,
  },
  {
    method: 'GET',
    path: '/v1/models/:name',
    scope: 'read',
    summary: 'One model with its versions',
    tag: 'Models',
    answer: modelAnswer,
    handle: (call, deps) => answerModel(call, deps, call.params['name'] ?? ''),
  },
  {
    method: 'GET',
    path: '/v1/models/:name/versions/:version',
    scope: 'read',
    summary: 'One version of a model, by number or alias, with its lineage',
    tag: 'Models',
    answer: modelVersionAnswer,
    handle: (call, deps) => answerVersion(call, deps, call.params['name'] ?? '', call.params['version'] ?? ''),
  },
]

/** `GET /v1/models`: every model with its versions. */
function answerModels(call: Call, deps: ServingContext): RouteAnswer {
  const models = [...deps.catalog().models.values()].map((model) => describe(deps, model))
  return jsonAnswer({ models, requestId: call.requestId })
}

/** `GET /v1/models/{name}` */
function answerModel(call: Call, deps: ServingContext, name: string): RouteAnswer {
  return jsonAnswer({ ...describe(deps, deps.catalog().model(name)), requestId: call.requestId })
}

function describe(deps: ServingContext, model: CatalogModel) {
  return {
    model: model.name,
    service: model.spec.service,
    outputs: model.spec.output.map((output) => ({ name: output.name, type: typeName(output.type) })),
    /** The version that answers a request which names none. */
    version: deps.models.answering(deps.catalog(), model)?.version ?? null,
    aliases: Object.fromEntries([...model.aliases.values()].map(({ alias, version }) => [alias, version])),
    versions: model.versions.map((version) => describeVersion(model, version)),
  }
}

function describeVersion(model: CatalogModel, version: ModelVersion) {
  const { contract, metadata, metrics, params, dataset, gitCommit, pushedBy } = version
  return {
    version: version.version,
    service: version.service,
    serviceFingerprint: version.serviceFingerprint,
    sha256: version.sha256,
    sizeBytes: version.sizeBytes,
    createdAt: version.createdAt.toISOString(),
    inputs: contract.inputs,
    outputs: contract.outputs,
    metadata,
    metrics,
    params,
    dataset,
    gitCommit,
    pushedBy,
    aliases: aliasesOf(model, version.version),
  }
}

/** `GET /v1/models/{name}/versions/{version}` */
async function answerVersion(call: Call, deps: ServingContext, name: string, wanted: string): Promise<RouteAnswer> {
  const model = deps.catalog().model(name)
  const version = pickVersion(model, versionReference(wanted))
  const lineage = await deps.modelChanges.lineage(version)
  return jsonAnswer({ model: name, ...describeVersion(model, version), lineage, requestId: call.requestId })
}
