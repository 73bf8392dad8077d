import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, writeFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { emptyOutFolder } from './out-folder.ts'

// Builds the published package: JavaScript and declarations, with a separate package.json. Call: `node build/build.ts
// [FOLDER]`; the default folder is dist. The folder must be new, empty, or an earlier build, which is replaced.
const root = dirname(import.meta.dirname)
const out = resolve(process.argv[2] ?? join(root, 'dist'))

const config: { include: string[] } = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8'))
const folders = config.include.filter((place) => !place.endsWith('.ts'))

emptyOutFolder(out, root)
compile()
refuseSourceNames()
copyAssets()
await writeHelp()
buildPages()
writeManifest()

function compile(): void {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', out]
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', process.stderr, process.stderr] })
  if (status !== 0) process.exit(1)
}

/**
 * The compiler rewrites the endings of imports, but not those of files named by URL: such a name would point to a
 * missing file.
 */
function refuseSourceNames(): void {
  for (const file of globSync('**/*.js', { cwd: out })) {
    const name = /new URL\(\s*(['"`])(\.[^'"`]*\.ts)\1/.exec(readFileSync(join(out, file), 'utf8'))?.[2]
    if (name !== undefined) throw new Error(`"${file}" names "${name}", which is not in the package: take the ending from import.meta.url.`)
  }
}

/** Copies files other than TypeScript: Redis scripts, pages, documents. */
function copyAssets(): void {
  const assets = globSync(
    folders.map((folder) => `${folder}/**/*.*`),
    { cwd: root },
  ).filter((file) => !file.endsWith('.ts') && !file.endsWith('.md'))
  const templates = globSync('templates/**/*', { cwd: root }).filter((file) => statSync(join(root, file)).isFile())
  // README.md and messages link to them; an image is built without them
  const documents = globSync(
    [
      '*.md',
      'docs/**/*.md',
      'docs/images/*.png',
      'observability/prometheus/rules.yaml',
      'observability/grafana/*.json',
      'deploy/.env.example',
      'deploy/**/*.{yaml,json,tpl,txt,service}',
    ],
    { cwd: root },
  )
  for (const file of ['bin/lockstep.cjs', 'LICENSE', ...documents, ...assets, ...templates]) {
    mkdirSync(dirname(join(out, file)), { recursive: true })
    copyFileSync(join(root, file), join(out, file))
  }
  chmodSync(join(out, 'bin/lockstep.cjs'), 0o755)
}

/** Writes the help of all commands into one file, which `cli/read-help.ts` reads. */
async function writeHelp(): Promise<void> {
  const { commands } = await import('../cli/commands.ts')
  const help = await Promise.all(commands.map((entry) => entry.load()))
  writeFileSync(join(out, 'cli/help.json'), JSON.stringify(help))
}

/** The dashboard's files, which the server finds in the package. */
function buildPages(): void {
  const { status } = spawnSync(process.execPath, [join(root, 'build/build-ui.ts'), join(out, 'ui')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) process.exit(1)
}

function writeManifest(): void {
  const source: Record<string, unknown> = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const kept = ['name', 'version', 'description', 'license', 'type', 'dependencies', 'peerDependencies', 'peerDependenciesMeta'].map(
    (field) => [field, source[field]],
  )
  const manifest = {
    ...Object.fromEntries(kept),
    exports: {
      '.': { types: './index.d.ts', default: './index.js' },
      './client': { types: './client/index.d.ts', default: './client/index.js' },
      './package.json': './package.json',
    },
    // npm compares with the Node that runs npm. bin/lockstep.cjs checks the one that runs Lockstep, and says what to do
    engines: { node: '>=20' },
    bin: { lockstep: 'bin/lockstep.cjs' },
    files: [...folders, 'ui', 'bin', 'templates', 'docs', 'observability', 'deploy', '*.md', 'index.js', 'index.d.ts'],
    sideEffects: false,
  }
  writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}
