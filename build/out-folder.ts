import { mkdirSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { isAbsolute, join, relative, sep } from 'node:path'

/** What a build leaves in its folder, so that the next one knows that it may replace it. */
const checkpoint = '.lockstep-build'

/**
 * Makes `folder` an empty one that is marked as a build's.
 *
 * @throws Error, and removes nothing, where the folder holds `root` or anything that is not an earlier build
 */
export function emptyOutFolder(folder: string, root: string): void {
  mkdirSync(folder, { recursive: true })
  const way = relative(realpathSync(folder), realpathSync(root))
  if (way.split(sep)[0] !== '..' && !isAbsolute(way))
    throw new Error(`"${folder}" holds the sources, and a build replaces its folder: name another one.`)
  const names = readdirSync(folder)
  if (names.length > 0 && !isBuild(folder, names))
    throw new Error(
      `"${folder}" is not empty and not an earlier build, so it is left as it is: name another folder, or empty that one yourself.`,
    )
  for (const name of names.filter((other) => other !== checkpoint)) rmSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, checkpoint), 'Written by build/build.ts: the next build replaces this folder.\n')
}

/** A build that was interrupted has no package.json yet. */
function isBuild(folder: string, names: readonly string[]): boolean {
  if (!names.includes(checkpoint) || names.includes('.git')) return false
  if (!names.includes('package.json')) return true
  const manifest: { name?: unknown } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return manifest.name === 'lockstep'
}
