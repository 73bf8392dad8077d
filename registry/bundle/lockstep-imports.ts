import { realpathSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const ownEntry = join(root, `index${extname(import.meta.filename)}`)
const ownDefine = join(root, 'registry', 'define')

/** Whether an import in `importer` leads to this package: by its name, or by the path of its own entry. */
export function isLockstepImport(specifier: string, importer: string): boolean {
  if (specifier === 'lockstep' || specifier.startsWith('lockstep/')) return true
  if (!specifier.startsWith('.') && !specifier.startsWith('/')) return false
  let path = resolve(dirname(importer), specifier)
  try {
    path = realpathSync(path)
  } catch {
    return false
  }
  return path === ownEntry || path.startsWith(`${ownDefine}/`)
}
