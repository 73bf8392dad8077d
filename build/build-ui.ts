import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { build } from 'esbuild'

// Builds the dashboard of ui/: index.html, and files whose names hold their hash in assets/.
//   node build/build-ui.ts FOLDER           builds into a folder, which is replaced
//   node build/build-ui.ts --cache FOLDER   builds into a subfolder named by the sources' hash, unless it is there, and
//                                           prints its path
const root = dirname(import.meta.dirname)
const source = join(root, 'ui')

const [first, second] = process.argv.slice(2)
if (first === '--cache' && second !== undefined) console.log(await buildCached(resolve(second)))
else await buildUi(resolve(first ?? join(root, 'dist/ui')))

async function buildCached(cache: string): Promise<string> {
  const folder = join(cache, hashOfSources())
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const temporary = mkdtempSync(join(cache, 'building-'))
  await buildUi(temporary)
  try {
    renameSync(temporary, folder)
  } catch (error) {
    // another process built the same
    rmSync(temporary, { recursive: true })
    if (!existsSync(folder)) throw error
  }
  return folder
}

function hashOfSources(): string {
  const hash = createHash('sha256')
  const files = globSync('**/*', { cwd: source, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).toSorted()
  for (const path of [...paths, import.meta.filename, join(root, 'package-lock.json')]) {
    hash.update(relative(root, path)).update('\0').update(readFileSync(path)).update('\0')
  }
  return hash.digest('hex').slice(0, 16)
}

async function buildUi(out: string): Promise<void> {
  rmSync(out, { recursive: true, force: true })
  const assets = join(out, 'assets')
  mkdirSync(assets, { recursive: true })
  const { metafile } = await build({
    entryPoints: { main: join(source, 'main.tsx'), styles: join(source, 'styles.css') },
    absWorkingDir: root,
    outdir: assets,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    jsx: 'automatic',
    minify: true,
    charset: 'utf8',
    legalComments: 'none',
    define: { 'process.env.NODE_ENV': '"production"' },
    metafile: true,
    logLevel: 'warning',
  })
  const built = Object.entries(metafile.outputs)
  const address = (entry: string): string => `/ui/assets/${basename(built.find(([, { entryPoint }]) => entryPoint === entry)?.[0] ?? '')}`
  const page = readFileSync(join(source, 'page.html'), 'utf8')
  const linked = page.replace('SCRIPT', address('ui/main.tsx')).replace('STYLES', address('ui/styles.css'))
  writeFileSync(join(out, 'index.html'), linked)
  copyFileSync(join(source, 'icon.svg'), join(assets, 'icon.svg'))
  writeFileSync(join(out, 'licenses.txt'), licensesOf(Object.keys(metafile.inputs)))
}

/** The licenses of the packages that are in the bundle, which their authors ask to keep with every copy. */
function licensesOf(inputs: readonly string[]): string {
  const folders = inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [])
  const texts = [...new Set(folders)].toSorted().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    const files = globSync('{license,licence,LICENSE,LICENCE}*', { cwd: join(root, folder) }).toSorted()
    return [`${name} ${version} (${license})`, ...files.map((file) => readFileSync(join(root, folder, file), 'utf8').trim())].join('\n\n')
  })
  return `${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}
