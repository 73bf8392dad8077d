import { transform } from 'esbuild'

/** Whether two stored transforms are the same code: both are printed again by the esbuild that runs, so that another esbuild's way of printing is no change. */
export async function sameCode(a: string, b: string): Promise<boolean> {
  return a === b || (await printed(a)) === (await printed(b))
}

async function printed(code: string): Promise<string> {
  const result = await transform(`export default (${code}\n)`, { loader: 'js', minifySyntax: true, minifyWhitespace: true })
  return result.code
}
