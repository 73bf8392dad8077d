import { transform } from 'esbuild'
import type { TransformOptions } from 'esbuild'
import type { Program } from 'oxc-parser'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/** How code is printed wherever two pieces of it are compared: short, with its names. */
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
 * The text of one expression for a module that ends in `export { local as default }`, which must be all that it imports or exports.
 */
export function asExpression(text: string, program: Program): string {
  const last = program.body.at(-1)
  const specifier = last?.type === 'ExportNamedDeclaration' ? last.specifiers[0] : undefined
  if (last === undefined || specifier?.local.type !== 'Identifier')
    throw new LockstepError('INTERNAL', 'The bundler ended a transform in an unexpected way; report this.')
  return `(()=>{${text.slice(0, last.start)}return ${specifier.local.name}})()`
}

/**
 * The text of an expression as the running esbuild prints it, to the point where printing changes nothing more.
 *
 * @throws LockstepError `TRANSFORM_FAILED` where it does not parse
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
    // what has no list of errors is no fault of the code
    if (!(cause instanceof Error && 'errors' in cause)) throw cause
    throw new LockstepError('TRANSFORM_FAILED', `The code of a transform does not parse: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Whether two stored texts are the same code: as the running esbuild prints them, for another one may have printed either.
 *
 * @throws LockstepError `TRANSFORM_FAILED` where one of them does not parse
 */
export async function sameCode(a: string, b: string): Promise<boolean> {
  return a === b || (await reprint(a)) === (await reprint(b))
}
