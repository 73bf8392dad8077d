import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { bundle } from '../build/bundle.ts'

const root = dirname(import.meta.dirname)
const keptMs = 24 * 3_600_000
const { include }: { include: readonly string[] } = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8'))

/**
 * The program as one bundle, for tests that start processes: it starts in a third of the time that the sources take.
 * It is made anew when a source has changed, and kept in `caches`.
 *
 * @returns its folder
 */
export async function makeProgram(caches: string): Promise<string> {
  const programs = join(caches, 'lockstep/programs')
  const folder = join(programs, sourcesHash())
  mkdirSync(programs, { recursive: true })
  if (!existsSync(folder)) await make(folder)
  const now = new Date()
  utimesSync(folder, now, now)
  for (const each of readdirSync(programs).map((name) => join(programs, name))) {
    const usedAt = statSync(each, { throwIfNoEntry: false })?.mtimeMs ?? 0
    if (now.getTime() - usedAt > keptMs) rmSync(each, { recursive: true, force: true })
  }
  return folder
}

function sourcesHash(): string {
  const hash = createHash('sha256')
  const sources = include.map((place) => (place.endsWith('.ts') ? place : `${place}/**/*.ts`))
  const files = globSync([...sources, 'build/bundle.ts', 'package-lock.json', 'test/program.ts'], { cwd: root })
  for (const path of files.toSorted()) hash.update(`${path}\n`).update(readFileSync(join(root, path)))
  return hash.digest('hex').slice(0, 16)
}

async function make(folder: string): Promise<void> {
  const partial = `${folder}.${process.pid}`
  await bundle(root, partial)
  const made = new Set(readdirSync(partial))
  // beside the bundle lie the files that it reads, and the entry that definitions import
  for (const name of readdirSync(root)) {
    if (/^(\..*|node_modules|dist)$/.test(name)) continue
    if (!made.has(name)) symlinkSync(join(root, name), join(partial, name))
    else
      for (const asset of globSync(`${name}/**/*.*`, { cwd: root }))
        if (!asset.endsWith('.ts')) cpSync(join(root, asset), join(partial, asset))
  }
  try {
    renameSync(partial, folder)
  } catch (error) {
    // another run has made it meanwhile
    rmSync(partial, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
}
