import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The first is the default. */
export const templateNames = ['fraud', 'flights', 'minimal'] as const
export type TemplateName = (typeof templateNames)[number]

/** In the root of the package, beside cli/. */
const folder = join(import.meta.dirname, '../../templates')

/** npm leaves files of these names out of packages, or renames them. */
const packedAs: Readonly<Record<string, string>> = { gitignore: '.gitignore', 'env.example': '.env.example' }

/** The files of a project by their paths in it: those that all templates share, and those of the template. */
export function templateFiles(template: TemplateName): ReadonlyMap<string, Buffer> {
  return new Map(
    ['shared', template].flatMap((part) =>
      globSync('**/*', { cwd: join(folder, part) })
        .filter((name) => statSync(join(folder, part, name)).isFile())
        .toSorted()
        .map((name) => [packedAs[name] ?? name, readFileSync(join(folder, part, name))] as const),
    ),
  )
}
