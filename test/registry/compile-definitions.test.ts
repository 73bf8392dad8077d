import { describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import type { OnDemandInputSpec, OnDemandSpec } from '../../kernel/specs/service-spec.ts'
import { compileDefinitions } from '../../registry/compile-definitions.ts'
import type { Definition } from '../../registry/definition.ts'

const stored = { version: 1, fingerprint: 'f', operational: {}, retired: false, signature: null } as const
const onDemand = (name: string, code: string, inputs: readonly OnDemandInputSpec[]): Definition => {
  const features = [{ name, type: { kind: 'int32' }, default: null, required: false }] as const
  const spec: OnDemandSpec = { name, version: 1, request: [], inputs, features, code }
  return { ...stored, kind: 'onDemand', name, spec }
}
/** As the registry lists them: by name, so that an input may come after what takes it. */
const definitions: readonly Definition[] = [
  onDemand('a_third', 'third', [{ name: 'second', onDemand: 'b_second@1' }]),
  onDemand('b_second', 'second', [{ name: 'first', onDemand: 'c_first@1' }]),
  onDemand('c_first', 'first', []),
  {
    ...stored,
    kind: 'service',
    name: 'all',
    spec: { name: 'all', version: 1, members: [{ kind: 'onDemand', view: 'a_third@1', features: ['a_third'] }] },
  },
]
const code: Readonly<Record<string, string>> = {
  first: '() => ({ c_first: 1 })',
  second: '({ first }) => ({ b_second: first.c_first + 1 })',
  third: '({ second }) => ({ a_third: second.b_second + 1 })',
}

describe('nested on-demand views, as stored', () => {
  it('compile in any order', () => {
    const { services, broken } = compileDefinitions(definitions, { textOf: (hash) => code[hash] ?? '' })
    expect(broken.size).toBe(0)
    expect(services.get('all@1')?.evaluate([], [], 0).values).toEqual([3])
  })

  it('fail with the error of a broken input, through any number of steps', () => {
    const lost = new LockstepError('CODE_HASH_MISMATCH', 'The code of "c_first@1" is lost.')
    const textOf = (hash: string): string => {
      if (hash === 'first') throw lost
      return code[hash] ?? ''
    }
    const { broken } = compileDefinitions(definitions, { textOf })
    expect([...broken.keys()].toSorted()).toEqual(['onDemand a_third@1', 'onDemand b_second@1', 'onDemand c_first@1', 'service all@1'])
    expect([...broken.values()].every((error) => error === lost)).toBe(true)
  })
})
