import { cpSync, globSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { bundle, bundleFiles } from '../build/bundle.ts'
import { keptFolder } from './kept-folder.ts'
import { rootFolder } from './source-files.ts'

const { include }: { include: readonly string[] } = JSON.parse(readFileSync(join(rootFolder, 'tsconfig.build.json'), 'utf8'))

/**
 * The program as one bundle, for tests that start processes: it starts in a third of the time that the sources take. So
 * are the tests' own processes, in files that are named `-process.ts` or `-child.ts`. It is rebuilt when a source has
 * changed, and kept in `caches`.
 *
 * @returns its folder
 */
export async function makeProgram(caches: string): Promise<string> {
  const sources = include.map((place) => (place.endsWith('.ts') ? place : `${place}/**/*.ts`))
  const files = globSync([...sources, 'build/bundle.ts', 'package-lock.json', 'test/**/*.ts'], { cwd: rootFolder })
  const used = files.filter((path) => !/\.test(-d)?\.ts$/.test(path))
  return await keptFolder(join(caches, 'lockstep/programs'), used, make)
}

async function make(folder: string): Promise<void> {
  await bundle(rootFolder, folder)
  const processes = globSync('test/!(cli)/**/*-{child,process}.ts', { cwd: rootFolder })
  await bundleFiles(rootFolder, folder, processes)
  const made = new Set(readdirSync(folder))
  // beside the bundle lie the files that it reads, and the entry that definitions import
  for (const name of readdirSync(rootFolder)) {
    if (/^(\..*|node_modules|dist)$/.test(name)) continue
    if (!made.has(name)) symlinkSync(join(rootFolder, name), join(folder, name))
    else
      for (const asset of globSync(`${name}/**/*.*`, { cwd: rootFolder }))
        if (!asset.endsWith('.ts')) cpSync(join(rootFolder, asset), join(folder, asset))
  }
}
