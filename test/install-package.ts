import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { bundleDependencies } from '../build/bundle-dependencies.ts'
import { rootFolder } from './source-files.ts'

const run = promisify(execFile)

/** A package as a user has installed it. */
export interface InstalledPackage {
  /** Its `node_modules` holds the package and its declared dependencies, and nothing else. */
  readonly project: string
  readonly installed: string
  /** The files of the tarball. */
  readonly packed: readonly string[]
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly bundleDependencies: readonly string[]
  readonly optionalDependencies: Readonly<Record<string, string>>
}

/** Packs the product and installs the tarball into `project` in the folder, as npm would, without the network. */
export async function installPackage(folder: string): Promise<InstalledPackage> {
  // of a build that has just been made, or else of one of its own
  const dist = process.env['LOCKSTEP_TEST_DIST'] ?? join(folder, 'dist')
  if (dist.startsWith(folder)) await run(process.execPath, ['build/build.ts', dist], { cwd: rootFolder })
  await run('npm', ['pack', '--silent', '--ignore-scripts', '--offline', '--pack-destination', folder], { cwd: dist })
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? 'no tarball'
  const packed = (await run('tar', ['-tzf', join(folder, tarball)])).stdout.trim().split('\n')
  const project = join(folder, 'project')
  const installed = join(project, 'node_modules', 'lockstep')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', installed])
  await writeFile(join(project, 'package.json'), '{ "type": "module" }')
  // npm packs these last; packing them takes longer than all tests of the package
  bundleDependencies(installed, rootFolder)
  const { dependencies, bundleDependencies: bundled, optionalDependencies } = await manifestOf(installed)
  const others = Object.keys(dependencies).filter((name) => !bundled.includes(name))
  const own = Object.keys(optionalDependencies).filter((name) => existsSync(join(rootFolder, 'node_modules', name)))
  for (const name of [...others, ...own]) {
    const link = join(project, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(rootFolder, 'node_modules', name), link)
  }
  return { project, installed, packed }
}

/** The program that `npx lockstep` runs. */
export function programOf(installed: string): string {
  return join(installed, 'bin/lockstep.cjs')
}

async function manifestOf(installed: string): Promise<Manifest> {
  const manifest: Manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  return manifest
}
