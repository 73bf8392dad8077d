import { expectTypeOf, it } from 'vitest'
import type { LockstepConfig } from '../../index.ts'
import { defineConfig } from '../../index.ts'
import type { variables } from '../../runtime/settings/variables.ts'

type Camel<Text extends string> = Text extends `${infer Word}_${infer Rest}`
  ? `${Lowercase<Word>}${Capitalize<Camel<Rest>>}`
  : Lowercase<Text>
type KeyOf<Variable extends string> = Variable extends `LOCKSTEP_${infer Name}` ? Camel<Name> : never

it('the configuration of a project has every setting, and no other', () => {
  expectTypeOf<keyof LockstepConfig>().toEqualTypeOf<KeyOf<keyof typeof variables.shape>>()
})

it('a configuration with a key that is no setting is refused', () => {
  // @ts-expect-error it is "port"
  defineConfig({ prot: 8081 })
})
