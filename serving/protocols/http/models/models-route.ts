import type { CatalogModel } from '../../../../registry/catalog.ts'
import { aliasesOf } from '../../../../registry/models/model-aliases.ts'
import type { ModelVersion } from '../../../../registry/models/model-versions.ts'
import { pickVersion, versionReference } from '../../../../registry/models/pick-version.ts'
import { typeName } from '../../../../kernel/values/value-type.ts'
import { modelAnswer, modelsAnswer, modelVersionAnswer } from './model-schemas.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import type { Route } from '../route.ts'

type ModelsContext = Pick<ServingContext, 'catalog' | 'models' | 'modelChanges'>

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
    handle: (call, context) => answerModel(call, context, nameInPath(call)),
  },
  {
    method: 'GET',
    path: '/v1/models/:name/versions/:version',
    scope: 'read',
    summary: 'One version of a model, by number or alias, with its lineage',
    tag: 'Models',
    answer: modelVersionAnswer,
    handle: (call, context) => answerVersion(call, context, nameInPath(call), call.params['version'] ?? ''),
  },
]

/** `GET /v1/models`: every model with its versions. */
function answerModels(call: Call, context: ModelsContext): RouteAnswer {
  const models = [...context.catalog().models.values()].map((model) => describe(context, model))
  return jsonAnswer(call, { models })
}

/** `GET /v1/models/{name}` */
function answerModel(call: Call, context: ModelsContext, name: string): RouteAnswer {
  return jsonAnswer(call, describe(context, context.catalog().model(name)))
}

function describe(context: ModelsContext, model: CatalogModel) {
  return {
    model: model.name,
    service: model.spec.service,
    description: model.operational.description ?? null,
    owner: model.operational.owner ?? null,
    tags: model.operational.tags ?? [],
    outputs: model.spec.output.map((output) => ({ name: output.name, type: typeName(output.type) })),
    /** The version that answers a request which names none. */
    version: context.models.answering(context.catalog(), model)?.version ?? null,
    pinned: model.pin,
    rollout: model.rollout === null ? null : { version: model.rollout.version, share: model.rollout.share },
    shadow: model.shadow === null ? null : { version: model.shadow.version, share: model.shadow.share },
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
async function answerVersion(call: Call, context: ModelsContext, name: string, wanted: string): Promise<RouteAnswer> {
  const model = context.catalog().model(name)
  const version = pickVersion(model, versionReference(wanted))
  const lineage = await context.modelChanges.lineage(version)
  return jsonAnswer(call, { model: name, ...describeVersion(model, version), lineage })
}
