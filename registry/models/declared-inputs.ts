import { isDeepStrictEqual } from 'node:util'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import type { ModelContract } from './model-contract.ts'
import { tensorText } from './model-contract.ts'

/**
 * The contract of a file as a push stores it: with the features that the model declares for each input now. A version
 * keeps them, so a later change of the declaration never reorders what an earlier version takes.
 *
 * @param contract of a file, or of a version, whose features are then replaced
 * @throws LockstepError `MODEL_MISMATCH` if the model declares an input that the file does not have
 */
export function withDeclaredInputs(contract: ModelContract, { name: model, input: declared = {} }: ModelSpec): ModelContract {
  const names = contract.inputs.map((input) => input.name)
  for (const input of Object.keys(declared)) {
    if (names.includes(input)) continue
    const has = contract.inputs.map((each) => `"${each.name}" ${tensorText(each)}`).join(', ')
    throw new LockstepError(
      'MODEL_MISMATCH',
      `The model "${model}" declares the input "${input}", which the file does not have; it has ${has}.${didYouMean(input, names)} Declare the features of these, or export the model with that name.`,
      { details: { model, input, inputs: names } },
    )
  }
  return {
    ...contract,
    inputs: contract.inputs.map((each) => {
      const { features: _, ...input } = each
      const features = Object.hasOwn(declared, input.name) ? declared[input.name] : undefined
      return features === undefined ? input : { ...input, features }
    }),
  }
}

/** Whether the inputs of two contracts of one file take the same features. */
export function haveSameFeatures(a: ModelContract, b: ModelContract): boolean {
  const features = ({ inputs }: ModelContract) => inputs.map((input) => [input.name, input.features ?? null])
  return isDeepStrictEqual(features(a), features(b))
}
