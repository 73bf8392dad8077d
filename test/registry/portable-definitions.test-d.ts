import { expectTypeOf, it } from 'vitest'
import type { z } from 'zod'
import type { UndeclaredDefinitions } from '../../registry/load/declare-definitions.ts'
import type { portableSchema } from '../../registry/load/portable-definitions.ts'

/** The names of all fields, also of those that only some members of a union have, at any depth but that of JSON. */
type Fields<Value> = Value extends readonly (infer Item)[]
  ? Fields<Item>
  : Value extends object
    ? {
        [Name in keyof Value & string]-?: Name extends 'default' | 'parameters' ? Name : Name | `${Name}.${Fields<Value[Name]>}`
      }[keyof Value & string]
    : never

it('definitions that are sent to a server have every field of a definition', () => {
  type Sent = Pick<z.output<typeof portableSchema>, keyof UndeclaredDefinitions>
  expectTypeOf<Fields<Sent>>().toEqualTypeOf<Fields<UndeclaredDefinitions>>()
})
