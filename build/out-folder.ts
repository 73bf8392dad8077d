import { mkdirSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { isAbsolute, join, relative, sep } from 'node:path'

/** A file that a build leaves in its folder, so that the next build knows that it may replace the folder. */
const checkpoint = '.lockstep-build'

/**
 * Empties `folder` and marks it as a build's.
 *
 * @throws Error, and removes nothing, where the folder contains `root` or anything other than an earlier build
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

/** An interrupted build has no package.json yet. */
function isBuild(folder: string, names: readonly string[]): boolean {
  if (!names.includes(checkpoint) || names.includes('.git')) return false
  if (!names.includes('package.json')) return true
  const manifest: { name?: unknown } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return manifest.name === 'lockstep'
}
