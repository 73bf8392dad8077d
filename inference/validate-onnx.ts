import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { OnnxMetadata } from './onnx-metadata.ts'
import { parseOnnxMetadata } from './onnx-metadata.ts'

/** The newest versions that ONNX Runtime 1.30 loads: of the file format, and of operator sets by domain. */
export const newestOnnx = {
  irVersion: 13,
  opsets: new Map([
    ['', 26],
    ['ai.onnx.ml', 5],
  ]),
} as const

/**
 * Reads the metadata of a file. A file that cannot be read here is not loaded, because its effect on ONNX Runtime is
 * unknown.
 *
 * @param what the file, for error messages
 * @throws LockstepError `MODEL_INVALID`
 */
export function readMetadata(bytes: Uint8Array, what: string): OnnxMetadata {
  try {
    return parseOnnxMetadata(bytes)
  } catch (cause) {
    const message = `${what} is not an ONNX model that can be loaded: ${messageOf(cause)} Export the model to ONNX and push that file.`
    throw new LockstepError('MODEL_INVALID', message, { cause })
  }
}

const unservable = /^(bfloat16|float8|float4)/

/** How many names a message lists. */
const listed = 3

/**
 * Refuses a file that cannot be served before it is loaded. The message says how to export it correctly.
 *
 * @param what the file, for error messages
 * @throws LockstepError `MODEL_INVALID`
 */
export function validateOnnx(metadata: OnnxMetadata, what: string): void {
  const { irVersion, opsets, externalData, elementTypes, opTypes } = metadata
  const refuse = (why: string, details: Record<string, unknown>): never => {
    throw new LockstepError('MODEL_INVALID', `${what} cannot be served: ${why}`, { details })
  }
  if (externalData.length > 0) {
    refuse(
      `the values of ${namesOf(externalData)} are in other files, but a model must be one file. Save it as one file: onnx.save_model(onnx.load("model.onnx"), "whole.onnx", save_as_external_data=False).`,
      { externalData },
    )
  }
  for (const [domain, newest] of newestOnnx.opsets) {
    const version = opsets.get(domain) ?? 0
    if (version > newest) {
      const name = domain === '' ? 'ONNX' : domain
      refuse(
        `it is made for version ${version} of the operators of ${name}, but ONNX Runtime 1.30 supports at most ${newest}. Export it for an older version (target_opset, opset_version), or convert it: onnx.version_converter.convert_version(model, ${newest}).`,
        { domain, version, newest },
      )
    }
  }
  if (irVersion > newestOnnx.irVersion) {
    refuse(
      `its ONNX format has version ${irVersion}, but ONNX Runtime 1.30 reads at most ${newestOnnx.irVersion}. Set model.ir_version = ${newestOnnx.irVersion} before saving it, or export it with an older onnx.`,
      { irVersion, newest: newestOnnx.irVersion },
    )
  }
  const types = [...elementTypes].filter((type) => unservable.test(type))
  if (types.length > 0) {
    refuse(`it has values of ${types.join(', ')}, which ONNX Runtime does not compute on a CPU. Export it as float32: model.float().`, {
      types,
    })
  }
  const training = [...opTypes].filter((type) => type.startsWith('ai.onnx.training.') || type.startsWith('ai.onnx.preview.training.'))
  if (training.length > 0) {
    refuse(`it contains training operators (${namesOf(training)}). Export the model for inference: model.eval().`, { operators: training })
  }
}

function namesOf(names: readonly string[]): string {
  const more = names.length - listed
  return (
    names
      .slice(0, listed)
      .map((name) => `"${name}"`)
      .join(', ') + (more > 0 ? ` and ${more} more` : '')
  )
}
