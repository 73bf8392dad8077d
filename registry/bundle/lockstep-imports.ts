import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** The entry of a package, or a part of the definitions language. */
const entry = /^(.*)\/(?:index|registry\/define\/[^/]+)\.[jt]s$/
/** Whether a folder is this package, or another copy of it. */
const known = new Map<string, boolean>()

/**
 * Whether an import in `importer` leads to this package: by its name, or by the path of the entry of any copy of it.
 */
export function isLockstepImport(specifier: string, importer: string): boolean {
  if (specifier === 'lockstep' || specifier.startsWith('lockstep/')) return true
  if (!specifier.startsWith('.') && !specifier.startsWith('/')) return false
  let path = resolve(dirname(importer), specifier)
  try {
    path = realpathSync(path)
  } catch {
    return false
  }
  const folder = entry.exec(path)?.[1]
  if (folder === undefined) return false
  const is = known.get(folder) ?? isThisPackage(folder)
  known.set(folder, is)
  return is
}

function isThisPackage(folder: string): boolean {
  if (!existsSync(join(folder, 'registry/define'))) return false
  const manifest = readFileSync(join(folder, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { readonly name?: unknown }).name === 'lockstep'
}
