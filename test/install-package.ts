import { execFile } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import { bundleDependencies } from '../build/bundle-dependencies.ts'
import { keptFolder, makeFolderOnce } from './kept-folder.ts'
import { rootFolder } from './source-files.ts'

const run = promisify(execFile)

/** A package as a user has installed it. */
export interface InstalledPackage {
  readonly project: string
  /**
   * It lies in a `node_modules` above the project, which holds the package and its declared dependencies, and nothing
   * else.
   */
  readonly installed: string
  /** The files of the tarball. */
  readonly packed: readonly string[]
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly bundleDependencies: readonly string[]
  readonly optionalDependencies: Readonly<Record<string, string>>
}

/** For the hook that installs the package: a build takes half a minute of processor time, beside other tests. */
export const installMs = 900_000

/** The inputs of the build: all files but those of tests, benchmarks and examples. */
const sources = [
  '*.{json,md,ts}',
  'LICENSE',
  ...['build', 'bin', 'deploy', 'docs', 'observability', 'templates', 'ui'].map((name) => `${name}/**/*`),
]

/**
 * A new folder of a user, `name`, beneath one with the product installed. The product is built once for its sources,
 * and packed and installed once for all test files of a run, as npm would, without the network.
 */
export async function installPackage(name: string): Promise<InstalledPackage> {
  const place = join(inject('folder'), 'installed')
  await makeFolderOnce(place, async (partial) => install(await build(), partial))
  const project = join(place, name)
  await mkdir(project)
  await writeFile(join(project, 'package.json'), '{ "type": "module" }')
  const packed = (await readFile(join(place, 'packed.txt'), 'utf8')).trim().split('\n')
  return { project, installed: join(place, 'node_modules/lockstep'), packed }
}

/** The folder of a build that has just been made, or else of one that is kept until a source changes. */
async function build(): Promise<string> {
  const given = process.env['LOCKSTEP_TEST_DIST']
  if (given !== undefined) return given
  const { include }: { include: readonly string[] } = JSON.parse(await readFile(join(rootFolder, 'tsconfig.build.json'), 'utf8'))
  const rooms = include.filter((each) => !each.endsWith('.ts')).map((each) => `${each}/**/*`)
  const files = globSync([...sources, ...rooms], { cwd: rootFolder, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = files.map((entry) => relative(rootFolder, join(entry.parentPath, entry.name)))
  return await keptFolder(join(rootFolder, 'node_modules/.cache/lockstep/builds'), paths, async (folder) => {
    await run(process.execPath, ['build/build.ts', folder], { cwd: rootFolder })
  })
}

async function install(dist: string, place: string): Promise<void> {
  const installed = join(place, 'node_modules/lockstep')
  await mkdir(installed, { recursive: true })
  await run('npm', ['pack', '--silent', '--ignore-scripts', '--offline', '--pack-destination', place], { cwd: dist })
  const tarball = join(place, (await readdir(place)).find((name) => name.endsWith('.tgz')) ?? 'no tarball')
  await writeFile(join(place, 'packed.txt'), (await run('tar', ['-tzf', tarball])).stdout)
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed])
  // npm packs these last; packing them takes longer than all tests of the package
  bundleDependencies(installed, rootFolder)
  const { dependencies, bundleDependencies: bundled, optionalDependencies } = await manifestOf(installed)
  const others = Object.keys(dependencies).filter((name) => !bundled.includes(name))
  const own = Object.keys(optionalDependencies).filter((name) => existsSync(join(rootFolder, 'node_modules', name)))
  for (const name of [...others, ...own]) {
    const link = join(place, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(rootFolder, 'node_modules', name), link)
  }
}

/** The program that `npx lockstep` runs. */
export function programOf(installed: string): string {
  return join(installed, 'bin/lockstep.cjs')
}

async function manifestOf(installed: string): Promise<Manifest> {
  const manifest: Manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  return manifest
}
