import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { asRecord, isRecord } from '../../kernel/is-record.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { readVersion } from '../../runtime/version.ts'

/** The root of the package that runs. */
const packageFolder = resolve(import.meta.dirname, '../..')

/**
 * The `package.json` of a project: what is there, with what Lockstep needs and it lacks.
 *
 * @throws LockstepError `FILE_UNREADABLE` for a file that is no JSON object, `FILE_EXISTS` where it makes files
 *   CommonJS
 */
export function projectManifest(folder: string): string {
  const path = join(folder, 'package.json')
  const own = readManifest(path)
  if ((own['type'] ?? 'module') !== 'module') {
    throw new LockstepError(
      'FILE_EXISTS',
      `"${path}" has "type": ${JSON.stringify(own['type'])}, but definitions are modules. Run "npm pkg set type=module" there, or name another folder.`,
      { details: { path } },
    )
  }
  const dependencies = asRecord(own['dependencies'])
  const devDependencies = asRecord(own['devDependencies'])
  const manifest = {
    name:
      basename(folder)
        .toLowerCase()
        .replaceAll(/[^a-z0-9-]+/g, '-')
        .replaceAll(/^-+|-+$/g, '') || 'features',
    private: true,
    ...own,
    type: 'module',
    scripts: { dev: 'lockstep dev', typecheck: 'tsc', ...asRecord(own['scripts']) },
    dependencies: 'lockstep' in devDependencies ? dependencies : { lockstep: dependencySpec(folder), ...dependencies },
    devDependencies: { typescript: '^7.0.2', ...devDependencies },
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

function readManifest(path: string): Readonly<Record<string, unknown>> {
  if (!existsSync(path)) return {}
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (isRecord(manifest)) return manifest
    throw new TypeError('it is no object')
  } catch (cause) {
    throw new LockstepError(
      'FILE_UNREADABLE',
      `"${path}" is not JSON of a package: ${messageOf(cause)}. Repair it, or name another folder.`,
      {
        cause,
        details: { path },
      },
    )
  }
}

/**
 * The dependency on this package as it was installed: the version or file that the project that it runs in depends on.
 */
function dependencySpec(folder: string): string {
  const parent = dirname(packageFolder)
  if (basename(parent) !== 'node_modules') return fileSpec(folder, packageFolder)
  const project = dirname(parent)
  const manifest = readManifest(join(project, 'package.json'))
  const spec = asRecord(manifest['dependencies'])['lockstep'] ?? asRecord(manifest['devDependencies'])['lockstep']
  if (typeof spec !== 'string') return `^${readVersion()}`
  return spec.startsWith('file:') ? fileSpec(folder, resolve(project, spec.slice('file:'.length))) : spec
}

function fileSpec(folder: string, path: string): string {
  return `file:${relative(folder, path).split(sep).join('/')}`
}
