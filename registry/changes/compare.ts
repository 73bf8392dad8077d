import type { Definition, DefinitionKey } from '../definition.ts'
import { codeOf, definitionKey, references } from '../definition.ts'
import type { DefinitionDifference } from './diff.ts'
import { codeDifference, diff } from './diff.ts'

/** A declared definition compared with the stored one. */
export interface DefinitionComparison {
  readonly declared: Definition
  readonly stored: Definition | null
  /** Differences in meaning; empty if the meaning is equal. */
  readonly semantic: readonly DefinitionDifference[]
  /** Differences in fields that may change under a version. */
  readonly operational: readonly DefinitionDifference[]
}

export interface CodeTexts {
  readonly declared: ReadonlyMap<string, string>
  readonly stored: ReadonlyMap<string, string>
}

/**
 * Compares each declared definition with the stored one of its name and version. Equal fingerprints mean equal
 * definitions. If fingerprints differ, the fields and the code are compared, because another version of the bundler may
 * print the same code differently.
 *
 * @param declared in `kindOrder`, so that referenced definitions are compared first
 */
export async function compareDefinitions(
  declared: readonly Definition[],
  stored: ReadonlyMap<DefinitionKey, Definition>,
  code: CodeTexts,
  sameCode: (a: string, b: string) => Promise<boolean>,
): Promise<DefinitionComparison[]> {
  const changed = new Set<DefinitionKey>()
  const comparisons: DefinitionComparison[] = []
  for (const definition of declared) {
    const key = definitionKey(definition)
    const before = stored.get(key) ?? null
    const semantic = before === null ? [] : await semanticDifferences(before, definition, code, sameCode)
    if (before !== null && before.fingerprint !== definition.fingerprint) {
      for (const reference of references(definition)) {
        if (changed.has(reference)) semantic.push({ path: `its ${reference}`, was: 'as applied before', now: 'changed' })
      }
    }
    if (semantic.length > 0) changed.add(key)
    const operational = before === null ? [] : diff(before.operational, definition.operational)
    comparisons.push({ declared: definition, stored: before, semantic, operational })
  }
  return comparisons
}

/**
 * Whether it is a column that the view's source has gained. A view without code reads the columns that its features
 * name, so another one changes no value: the stored version keeps the columns that it was applied with, which also
 * order rows of equal times in a table without `_row`. Code may read any column.
 */
function isAddedColumn({ path, was }: DefinitionDifference): boolean {
  return was === null && /^source\.columns\.[^.]+$/.test(path)
}

async function semanticDifferences(
  before: Definition,
  now: Definition,
  code: CodeTexts,
  sameCode: (a: string, b: string) => Promise<boolean>,
): Promise<DefinitionDifference[]> {
  if (before.fingerprint === now.fingerprint) return []
  const [hashBefore, hashNow] = [codeOf(before), codeOf(now)]
  const found = diff({ ...before.spec, code: null }, { ...now.spec, code: null }).filter(
    (each) => !(now.kind === 'view' && hashNow === null && isAddedColumn(each)),
  )
  if (hashBefore === hashNow) return found
  const textBefore = hashBefore === null ? undefined : code.stored.get(hashBefore)
  const textNow = hashNow === null ? undefined : code.declared.get(hashNow)
  if (textBefore === undefined || textNow === undefined) {
    found.push({
      path: 'transform',
      was: textBefore ?? (hashBefore === null ? null : hashBefore),
      now: textNow ?? (hashNow === null ? null : hashNow),
    })
  } else if (!(await sameCode(textBefore, textNow))) {
    found.push(codeDifference(textBefore, textNow))
  }
  return found
}
