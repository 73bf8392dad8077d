import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { readVersion } from '../../../runtime/version.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { ServingContext } from '../../context.ts'
import type { ServedModel } from '../../models/load-version.ts'
import type { TensorMetadata } from './model-tensors.ts'
import { inputsOf, outputsOf } from './model-tensors.ts'
import { useModel } from './use-model.ts'

/** The supported extensions of the protocol, by Triton's names. */
const extensions: readonly string[] = ['binary_tensor_data', 'parameters']

export interface ServerMetadata {
  readonly name: string
  readonly version: string
  readonly extensions: readonly string[]
}

export const serverMetadata: ServerMetadata = { name: 'lockstep', version: readVersion(), extensions }

export interface ModelMetadata {
  readonly name: string
  readonly versions: readonly string[]
  readonly platform: string
  readonly inputs: readonly TensorMetadata[]
  readonly outputs: readonly TensorMetadata[]
}

type Deps = Pick<ServingContext, 'catalog' | 'models'>

/**
 * Whether the server can answer, and all models with it. A version that does not load, while another answers in its
 * place, must not take all servers out of service.
 */
export function isReady(deps: Pick<ServingContext, 'readiness' | 'models'>): boolean {
  return deps.readiness().ready && deps.models.allAnswer
}

/** @throws LockstepError as `useModel` */
export async function modelMetadata(deps: Deps, name: string, version: string | undefined): Promise<ModelMetadata> {
  const describe = async (model: ServedModel, catalog: Catalog): Promise<ModelMetadata> => ({
    name,
    versions: catalog.model(name).versions.map((each) => String(each.version)),
    platform: 'onnx_onnxv1',
    inputs: inputsOf(model),
    outputs: outputsOf(model),
  })
  return await useModel(deps, name, version, describe, { measured: false })
}

/**
 * Whether the version can be run, which loads it where it is not.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, and what keeps it from loading
 */
export async function checkModelReady(deps: Deps, name: string, version: string | undefined): Promise<void> {
  try {
    await useModel(deps, name, version, () => Promise.resolve(), { measured: false })
  } catch (cause) {
    if (cause instanceof LockstepError && cause.code !== 'MODEL_INVALID' && cause.code !== 'MODEL_MISMATCH') throw cause
    throw new LockstepError('NOT_READY', `The model "${name}" cannot be run: ${messageOf(cause)}`, { cause, details: { model: name } })
  }
}

/** One version in the index of the repository. */
export interface IndexEntry {
  readonly name: string
  readonly version: string
  readonly state: 'READY' | 'UNAVAILABLE'
  readonly reason: string
}

/**
 * Every version of every model. A version is READY unless it failed to load: others are loaded by the first request for
 * them.
 */
export function repositoryIndex(deps: Deps, readyOnly: boolean): IndexEntry[] {
  const entries = [...deps.catalog().models.values()].flatMap((model) =>
    model.versions.map(({ version }): IndexEntry => {
      const failure = deps.models.failureOf(model.name, version)
      return { name: model.name, version: String(version), state: failure === undefined ? 'READY' : 'UNAVAILABLE', reason: failure ?? '' }
    }),
  )
  return readyOnly ? entries.filter((entry) => entry.state === 'READY') : entries
}
