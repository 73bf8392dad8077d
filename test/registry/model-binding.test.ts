import { describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, ColumnType, ValueType } from '../../kernel/values/value-type.ts'
import { withDeclaredInputs } from '../../registry/models/declared-inputs.ts'
import { bindModel } from '../../registry/models/model-binding.ts'
import type { ModelBinding } from '../../registry/models/model-binding.ts'
import type { TensorInfo } from '../../registry/models/model-contract.ts'

type Feature = readonly [name: string, type: ValueType['kind'] | ValueType, nullable?: boolean]

function service(...features: readonly Feature[]): ServicePlan {
  return {
    id: 'flight_features@1',
    name: 'flight_features',
    version: 1,
    fingerprint: 'f',
    uses: [],
    keys: [],
    request: [],
    features: features.map(([name, type, nullable = true]) => ({
      name,
      type: typeof type === 'string' ? ({ kind: type } as ValueType) : type,
      required: false,
      view: 'airport_delays@1' as const,
      use: 0,
      inputs: [0],
      nullable,
    })),
    required: [],
    direct: [],
    evaluate: () => ({
      values: [],
      statuses: [],
      eventTimes: [],
      missing: [],
      eventTimeOf: () => null,
      fill: () => undefined,
      countLacking: () => undefined,
    }),
  }
}

function tensor(name: string, type: string, ...shape: (number | string)[]): TensorInfo {
  return { name, type, shape, isTensor: true }
}

const probability: Column = { name: 'probability', type: { kind: 'float32' } }
const probabilities = tensor('probability', 'float32', 'N', 1)

function bind(
  plan: ServicePlan,
  inputs: TensorInfo[],
  outputs = [probabilities],
  declared: readonly Column[] = [probability],
): ModelBinding {
  return bindModel(plan, { inputs, outputs }, { name: 'delay', service: 'flight_features@1', output: declared })
}

function refusal(run: () => unknown): LockstepError {
  try {
    run()
  } catch (error) {
    if (error instanceof LockstepError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('one float tensor', () => {
  const plan = service(
    ['count', 'int32'],
    ['city', 'string'],
    ['embedding', { kind: 'vector', length: 3 }],
    ['late', 'bool'],
    ['seen', 'timestamp'],
    ['total', 'int64'],
  )

  it('takes the numeric features in service order, a vector spread over its elements', () => {
    const binding = bind(plan, [tensor('input', 'float32', 'N', 6)])
    expect(binding.layout).toBe('packed')
    expect(binding.maxRows).toBeNull()
    expect(binding.unused).toEqual(['city', 'seen'])
    const [input] = binding.inputs
    expect(input).toMatchObject({ name: 'input', type: 'float32', width: 6, rowShape: [6] })
    expect(input?.columns.map(({ name, feature, offset, width }) => [name, feature, offset, width])).toEqual([
      ['count', 0, 0, 1],
      ['embedding', 2, 1, 3],
      ['late', 3, 4, 1],
      ['total', 5, 5, 1],
    ])
  })

  it('may leave its width free', () => {
    expect(bind(plan, [tensor('input', 'float64', '', '')]).inputs[0]?.width).toBe(6)
  })

  it('is refused when the number of features is another, naming both sides', () => {
    const error = refusal(() => bind(plan, [tensor('input', 'float32', 'N', 5)]))
    expect(error.code).toBe('MODEL_MISMATCH')
    expect(error.message).toContain('float32[N, 5]')
    expect(error.message).toContain('[N, 6]')
    expect(error.message).toContain('"total" int64')
    expect(error.message).toContain('"delay"')
  })

  it('is refused when it is not a float tensor, or of one axis', () => {
    expect(refusal(() => bind(plan, [tensor('input', 'int64', 'N', 6)])).message).toContain(
      'neither a float tensor nor named after a feature',
    )
    expect(refusal(() => bind(plan, [tensor('input', 'float32', 6)])).code).toBe('MODEL_MISMATCH')
    expect(refusal(() => bind(plan, [tensor('input', 'float32', 'N', 6, 2)])).code).toBe('MODEL_MISMATCH')
  })

  it('is refused for a service without numeric features', () => {
    expect(refusal(() => bind(service(['city', 'string']), [tensor('input', 'float32', 'N', 'F')])).code).toBe('MODEL_MISMATCH')
  })
})

describe('one tensor for each feature', () => {
  it('is found by the names of the inputs, in the order of the model', () => {
    const plan = service(['count', 'int32'], ['city', 'string', false], ['embedding', { kind: 'vector', length: 3 }], ['unused', 'string'])
    const binding = bind(plan, [tensor('embedding', 'float32', 'N', 3), tensor('city', 'string', 'N', 1), tensor('count', 'float32', 'N')])
    expect(binding.layout).toBe('named')
    expect(binding.inputs.map(({ name, rowShape, width, columns }) => [name, rowShape, width, columns[0]?.feature])).toEqual([
      ['embedding', [3], 3, 2],
      ['city', [1], 1, 1],
      ['count', [], 1, 0],
    ])
    expect(binding.unused).toEqual(['unused'])
  })

  it('has its elements in row-major order if an input has several axes, one of which may be free', () => {
    const plan = service(['embedding', { kind: 'vector', length: 12 }], ['count', 'int32'])
    const shapeOf = (...shape: (number | string)[]) =>
      bind(plan, [tensor('embedding', 'float32', 'N', ...shape), tensor('count', 'float32', 'N', 1, 1)]).inputs.map(
        ({ rowShape }) => rowShape,
      )
    expect(shapeOf(3, 4)).toEqual([
      [3, 4],
      [1, 1],
    ])
    expect(shapeOf('T', 4)[0]).toEqual([3, 4])
    expect(shapeOf(3, 2, 2)[0]).toEqual([3, 2, 2])
    for (const shape of [[5, 4], ['T', 5], ['T', 'U'], [0, 'T'], []])
      expect(refusal(() => shapeOf(...shape)).message).toContain('the feature makes [N, 12]')
    const packed = service(['embedding', { kind: 'vector', length: 12 }])
    expect(bind(packed, [tensor('pixels', 'float32', 'N', 3, 2, 2)]).inputs[0]).toMatchObject({ width: 12, rowShape: [3, 2, 2] })
  })

  it('refuses a type without a missing value, unless a feature has a default', () => {
    const inputs = [tensor('stops', 'int64', 'N', 1), tensor('delay', 'float32', 'N', 1)]
    const error = refusal(() => bind(service(['stops', 'int32'], ['delay', 'float64']), inputs))
    expect(error.code).toBe('MODEL_MISMATCH')
    expect(error.message).toContain('"stops"')
    expect(error.message).toContain('give the feature a default or make it required')
    expect(bind(service(['stops', 'int32', false], ['delay', 'float64']), inputs).inputs).toHaveLength(2)
  })

  it('refuses an input that is no feature, naming the nearest', () => {
    const error = refusal(() =>
      bind(service(['stops', 'int32'], ['delay', 'float64']), [tensor('dealy', 'float32', 'N'), tensor('stops', 'float32', 'N')]),
    )
    expect(error.message).toContain('"dealy"')
    expect(error.message).toContain('Did you mean "delay"?')
  })

  it('refuses types and shapes that do not fit', () => {
    const plan = service(['city', 'string', false], ['embedding', { kind: 'vector', length: 3 }], ['seen', 'timestamp', false])
    expect(refusal(() => bind(plan, [tensor('city', 'float32', 'N'), tensor('seen', 'int64', 'N')])).message).toContain(
      'cannot take the feature of type string',
    )
    expect(refusal(() => bind(plan, [tensor('seen', 'float32', 'N'), tensor('city', 'string', 'N')])).message).toContain(
      'cannot take the feature of type timestamp',
    )
    expect(refusal(() => bind(plan, [tensor('embedding', 'float32', 'N'), tensor('city', 'string', 'N')])).message).toContain(
      'makes [N, 3]',
    )
    expect(refusal(() => bind(plan, [tensor('city', 'string', 'N', 2), tensor('seen', 'int64', 'N')])).message).toContain('makes [N, 1]')
  })
})

describe('an input of several features', () => {
  const plan = service(
    ['visits', 'int32'],
    ['age', 'float64', false],
    ['plan', 'int64', false],
    ['country', 'int64', false],
    ['vec', { kind: 'vector', length: 2 }],
    ['city', 'string', false],
  )
  const file = [tensor('x_num', 'float32', 'N', 4), tensor('x_cat', 'int64', 'N', 2), tensor('city', 'string', 'N', 1)]
  const bindTo = (inputs: TensorInfo[], input: NonNullable<ModelSpec['input']>): ModelBinding => {
    const spec: ModelSpec = { name: 'delay', service: 'flight_features@1', input, output: [probability] }
    return bindModel(plan, withDeclaredInputs({ inputs, outputs: [probabilities] }, spec), spec)
  }

  it('takes those that the model declares, in that order, and another input the feature of its name', () => {
    const binding = bindTo(file, { x_cat: ['country', 'plan'], x_num: ['vec', 'age', 'visits'] })
    expect(binding.layout).toBe('named')
    expect(binding.unused).toEqual([])
    expect(binding.inputs.map(({ name, width, rowShape }) => [name, width, rowShape])).toEqual([
      ['x_num', 4, [4]],
      ['x_cat', 2, [2]],
      ['city', 1, [1]],
    ])
    expect(binding.inputs.map(({ columns }) => columns.map(({ name, feature, offset, width }) => [name, feature, offset, width]))).toEqual([
      [
        ['vec', 4, 0, 2],
        ['age', 1, 2, 1],
        ['visits', 0, 3, 1],
      ],
      [
        ['country', 3, 0, 1],
        ['plan', 2, 1, 1],
      ],
      [['city', 5, 0, 1]],
    ])
  })

  it('can be the only one, of some features in any order; two inputs can take one feature', () => {
    expect(bindTo([tensor('x', 'float32', 'N', 2)], { x: ['age', 'visits'] })).toMatchObject({
      layout: 'named',
      inputs: [{ columns: [{ name: 'age' }, { name: 'visits' }] }],
      unused: ['plan', 'country', 'vec', 'city'],
    })
    expect(
      bindTo([tensor('wide', 'float32', 'N', '?'), tensor('deep', 'float64', 'N', 3)], {
        wide: ['visits'],
        deep: ['age', 'visits', 'plan'],
      }).inputs.map(({ width }) => width),
    ).toEqual([1, 3])
  })

  it.each([
    [file, { x_nm: ['age'] }, 'declares the input "x_nm", which the file does not have; it has "x_num" float32[N, 4]'],
    [file, { x_nm: ['age'] }, 'Did you mean "x_num"?'],
    [file, { x_num: ['age', 'visits'] }, '"x_num" is float32[N, 4], but its features (age, visits) make [N, 2]'],
    [file, { x_num: ['vec', 'age', 'city'] }, '"x_num" is float32[N, 4], which cannot take the feature "city" of type string'],
    [
      file,
      { x_num: ['vec', 'age', 'visits'], x_cat: ['plan', 'age'] },
      '"x_cat" is int64[N, 2], which cannot take the feature "age" of type float64',
    ],
    [file, { x_num: ['vec', 'age', 'gone'] }, '"x_num" takes "gone", which is not a feature of the service'],
    [[tensor('x', 'int32', 'N', 1)], { x: ['visits'] }, 'but the feature "visits" can be missing: give the feature a default'],
    [file, { x_num: ['vec', 'age', 'visits'] }, '"x_cat" is not a feature of the service'],
    [file, { x_num: ['vec', 'age', 'visits'] }, `as in input: { 'x_cat': ['visits', 'age'] }`],
    [file, { x_num: ['vec', 'age', 'gone'] }, 'Correct the features of the input in the declaration of the model'],
  ] as const)('is refused, naming the input and the feature: %#', (inputs, input, message) => {
    const error = refusal(() => bindTo([...inputs], input))
    expect(error.code).toBe('MODEL_MISMATCH')
    expect(error.message).toContain(message)
  })

  it('is proposed where no declaration says what an input takes', () => {
    const error = refusal(() => bind(plan, file))
    expect(error.message).toContain(`Declare the features of each input in the model, as in input: { 'x_num': ['visits', 'age'] }`)
  })
})

describe('an element type that no feature has', () => {
  const plan = service(['a', 'int32', false], ['b', 'int32', false])

  it.each([
    [[tensor('x', 'uint8', 'N', 2)], 'only input "x" is uint8[N, 2], a type that no feature has'],
    [[tensor('x', 'uint8', 'N', 2)], 'with float16, float32, float64'],
    [[tensor('a', 'int8', 'N'), tensor('b', 'int32', 'N')], 'input "a" is int8[N], a type that no feature has'],
    [[tensor('a', 'int8', 'N'), tensor('b', 'int32', 'N')], 'by a Cast node.'],
  ])('is refused, saying how to export it: %#', (inputs, message) => {
    const error = refusal(() => bind(plan, inputs))
    expect(error.code).toBe('MODEL_MISMATCH')
    expect(error.message).toContain(message)
    expect(error.message).not.toContain('Declare the features')
  })

  it('is refused as an output, saying how to export it', () => {
    const outputs = (type: string) => refusal(() => bind(plan, [tensor('x', 'float32', 'N', 2)], [tensor('probability', type, 'N', 1)]))
    expect(outputs('uint8').message).toContain('declare another output: uint8 is not answered. Export the model with float16')
  })
})

describe('rows', () => {
  it('run one by one if the first axis is fixed at 1, and are refused if it is more', () => {
    const plan = service(['a', 'float32'], ['b', 'float32'])
    expect(bind(plan, [tensor('input', 'float32', 1, 2)]).maxRows).toBe(1)
    expect(refusal(() => bind(plan, [tensor('input', 'float32', 4, 2)])).message).toMatch(
      /: the first axis of its input "input" is fixed at 4 rows\. .*\. Export it with a free first axis \(or 1\)\.$/,
    )
  })
})

describe('outputs', () => {
  const plan = service(['a', 'float32'])
  const input = [tensor('input', 'float32', 'N', 1)]

  it('are answered by declared name: scalars from [N] or [N, 1..2], others [N, K]', () => {
    const outputs = [
      tensor('label', 'int64', 'N'),
      tensor('two', 'float32', 'N', 2),
      tensor('scores', 'float32', 'N', 4),
      tensor('free', 'float32', 'N', '?'),
      tensor('map', 'float64', 'N', 2, 3),
    ]
    const binding = bind(plan, input, outputs, [
      { name: 'scores', type: { kind: 'vector', length: 4 } },
      { name: 'label', type: { kind: 'int64' } },
      { name: 'two', type: { kind: 'float64' } },
      { name: 'free', type: { kind: 'float32' } },
      { name: 'map', type: { kind: 'vector', length: 6 } },
    ])
    expect(binding.outputs.map(({ name, elementType, width }) => [name, elementType, width])).toEqual([
      ['scores', 'float32', 4],
      ['label', 'int64', 1],
      ['two', 'float32', 2],
      ['free', 'float32', null],
      ['map', 'float64', 6],
    ])
  })

  it('that the file lacks are refused, naming its outputs', () => {
    const error = refusal(() => bind(plan, input, [tensor('probabilities', 'float32', 'N', 2), tensor('label', 'int64', 'N')]))
    expect(error.code).toBe('MODEL_MISMATCH')
    expect(error.message).toContain('"label" int64[N]')
    expect(error.message).toContain('Did you mean "probabilities"?')
  })

  it('of another type or width are refused, saying what can be declared', () => {
    const declare = (type: ColumnType, output: TensorInfo): string =>
      refusal(() => bind(plan, input, [output], [{ name: output.name, type }])).message
    expect(declare({ kind: 'float32' }, tensor('scores', 'float32', 'N', 4))).toContain('declare vector(4)')
    expect(declare({ kind: 'float64' }, tensor('scores', 'float64', 'N', 2, 2))).toContain('declare vector(4)')
    expect(declare({ kind: 'int32' }, tensor('label', 'int64', 'N'))).toContain('declare int64')
    expect(declare({ kind: 'vector', length: 3 }, tensor('two', 'float32', 'N', 2))).toContain('declare float32 or vector(2)')
    expect(declare({ kind: 'int64' }, tensor('labels', 'int64', 'N', 2))).toContain('several elements per row')
  })

  it('that are sequences are refused even if they are undeclared', () => {
    const zipped = { name: 'output_probability', type: 'other', shape: [], isTensor: false }
    const error = refusal(() => bind(plan, input, [probabilities, zipped]))
    expect(error.code).toBe('MODEL_INVALID')
    expect(error.message).toContain('"output_probability"')
    expect(error.message).toContain('export the model with tensors')
  })
})
