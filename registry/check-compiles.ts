import type { LockstepError } from '../kernel/errors.ts'
import type { CodeTexts } from './compare.ts'
import { compileDefinitions } from './compile-definitions.ts'
import type { Definition } from './definition.ts'
import { definitionKey, kindOrder } from './definition.ts'

/** Compiles the declared definitions as a server would, with what they refer to in the registry; what does not compile is not to be stored. */
export function checkCompiles(declared: readonly Definition[], stored: readonly Definition[], code: CodeTexts): LockstepError[] {
  const keys = new Set(declared.map(definitionKey))
  const all = [...declared, ...stored.filter((definition) => !keys.has(definitionKey(definition)))]
  const { broken } = compileDefinitions(
    all.toSorted((a, b) => kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind)),
    { textOf: (hash) => code.declared.get(hash) ?? code.stored.get(hash) ?? '' },
  )
  const errors = declared.map((definition) => broken.get(definitionKey(definition))).filter((error) => error !== undefined)
  // what refers to a broken definition is broken by the same error
  return [...new Set(errors)]
}
