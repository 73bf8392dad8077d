import { transform } from 'esbuild'
import type { TransformOptions } from 'esbuild'
import type { Program } from 'oxc-parser'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/** The print options for code that is compared: compact, with names kept. */
export const printing = {
  target: 'node22',
  charset: 'utf8',
  legalComments: 'none',
  minifySyntax: true,
  minifyWhitespace: true,
  minifyIdentifiers: false,
  tsconfigRaw: '{}',
  logLevel: 'silent',
} as const satisfies TransformOptions

/**
 * Converts a module to the text of one expression. The module must end in `export { local as default }` and have no
 * other import or export.
 */
export function asExpression(text: string, program: Program): string {
  const last = program.body.at(-1)
  const specifier = last?.type === 'ExportNamedDeclaration' ? last.specifiers[0] : undefined
  if (last === undefined || specifier?.local.type !== 'Identifier')
    throw new LockstepError('INTERNAL', 'The bundler ended a transform in an unexpected way; report this.')
  return `(()=>{${text.slice(0, last.start)}return ${specifier.local.name}})()`
}

/**
 * Prints an expression with the running esbuild until printing changes nothing more.
 *
 * @throws LockstepError `TRANSFORM_FAILED` if it does not parse
 */
export async function reprint(expression: string): Promise<string> {
  let before = expression
  for (let i = 0; i < 8; i++) {
    const after = await printed(before)
    if (after === before) break
    before = after
  }
  return before
}

async function printed(expression: string): Promise<string> {
  try {
    const { code } = await transform(`lockstep=(${expression}\n)`, { ...printing, loader: 'js', format: 'esm' })
    return code
      .trim()
      .replace(/^lockstep=/, '')
      .replace(/;$/, '')
  } catch (cause) {
    // an error without an `errors` list is not caused by the code
    if (!(cause instanceof Error && 'errors' in cause)) throw cause
    throw new LockstepError('TRANSFORM_FAILED', `The code of a transform does not parse: ${messageOf(cause)}`, { cause })
  }
}

/** The code in lines, for people to read; as it is stored if it does not parse. */
export async function readableCode(expression: string): Promise<string> {
  const options = { ...printing, minifySyntax: false, minifyWhitespace: false }
  const printed = await transform(`lockstep=${expression}`, { ...options, loader: 'js', format: 'esm' }).catch(() => null)
  if (printed === null) return expression
  const code = printed.code
    .trim()
    .replace(/^lockstep = (\/\* @__PURE__ \*\/ )?/, '')
    .replace(/;$/, '')
  // a function that reaches nothing else is shown alone
  return /^\(\(\) => \{\n {2}var (\w+) = \(([^]*)\);\n {2}return \1;\n\}\)\(\)$/.exec(code)?.[2] ?? code
}

/**
 * Whether two stored texts are the same code. Both are printed again, because another version of esbuild may have
 * printed either.
 *
 * @throws LockstepError `TRANSFORM_FAILED` if one of them does not parse
 */
export async function sameCode(a: string, b: string): Promise<boolean> {
  return a === b || (await reprint(a)) === (await reprint(b))
}
