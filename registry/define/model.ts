import { LockstepError } from '../../kernel/errors.ts'
import type { ModelSpec } from '../../kernel/service-spec.ts'
import { definitionId } from '../../kernel/view-spec.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { FeatureService } from './feature-service.ts'
import { checkColumnName, checkName } from './names.ts'
import type { Types } from './t.ts'
import { checkColumnType } from './t.ts'

/** A model: which features it takes and what it answers. Its versions, each an ONNX file, are pushed to the registry. */
export interface Model<N extends string = string, S extends FeatureService = FeatureService, O extends Types = Types> {
  readonly kind: 'model'
  readonly name: N
  readonly service: S
  readonly output: O
  readonly spec: ModelSpec
  readonly described: Description
}

/**
 * Declares a model. The names of its outputs are those that the ONNX file gives them.
 *
 * @example export const delayModel = model('delay', { service: flightFeatures, output: { probability: t.float32 } })
 * @throws LockstepError `INVALID_NAME`, `INVALID_TYPE`, `DEFINITIONS_INVALID`
 */
export function model<const N extends string, S extends FeatureService, const O extends Types>(
  name: N,
  body: { readonly service: S; readonly output: O } & Description,
): Model<N, S, O> {
  const what = `model "${checkName(name, 'A model')}"`
  checkBody(body, `The ${what}`, ['service', 'output'])
  checkKind(body.service, ['featureService'], `The service of ${what}`, 'a feature service')
  const output = Object.entries(body.output ?? {}).map(([column, type]) => {
    const place = `The output "${column}" of ${what}`
    return Object.freeze({ name: checkColumnName(column, place), type: checkColumnType(type, place) })
  })
  if (output.length === 0)
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} has no output; add one, as in output: { probability: t.float32 }.`)
  const spec: ModelSpec = { name, service: definitionId(body.service), output: Object.freeze(output) }
  return define({
    kind: 'model',
    name,
    service: body.service,
    output: Object.freeze({ ...body.output }),
    spec: Object.freeze(spec),
    described: describe(body),
  })
}
