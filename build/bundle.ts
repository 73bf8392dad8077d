import { globSync, readFileSync } from 'node:fs'
import { dirname, extname, join, relative } from 'node:path'
import type { Plugin } from 'esbuild'
import { build } from 'esbuild'

/** The command line, and `run`, with which tests run many commands in one process. */
const programs = ['cli/main.ts', 'cli/run.ts']

/** Dependencies that nearly every command loads, in hundreds of files: these are bundled, and all others imported. */
const bundledPackages = [
  '@opentelemetry/api',
  'csv-parse',
  'date-fns',
  'hono',
  'hyparquet',
  'hyparquet-compressors',
  'hyparquet-writer',
  'ioredis',
  'kysely',
  'lru-cache',
  'pg',
  'pg-copy-streams',
  'pino',
  'prom-client',
  'zod',
]

/**
 * Writes the program to `out` in few files, because a process that imports each source and each file of the
 * dependencies on its own takes several times as long to start. All commands lie in one file: a file for each would
 * make hundreds of files of what some of them share, and importing those costs more than the code that a command leaves
 * unused.
 */
export async function bundle(root: string, out: string): Promise<void> {
  const { include }: { include: string[] } = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8'))
  // what processes and threads start from
  const scripts = globSync(
    include.map((room) => `${room}/**/*-{child,worker}.ts`),
    { cwd: root },
  )
  await bundleFiles(root, out, [...programs, ...scripts], [commandsTogether(root)])
}

/** Bundles these files, whose paths are relative to `root`, into `out`. */
export async function bundleFiles(root: string, out: string, paths: readonly string[], plugins: readonly Plugin[] = []): Promise<void> {
  const {
    dependencies,
    peerDependencies,
  }: Record<'dependencies' | 'peerDependencies', Record<string, string>> = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const imported = Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !bundledPackages.includes(name))
  await build({
    absWorkingDir: root,
    entryPoints: [...paths.map((path) => ({ in: path, out: path.replace(/\.ts$/, '') })), { in: folderModule, out: 'chunks/folder' }],
    outdir: out,
    outbase: root,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    external: imported.flatMap((name) => [name, `${name}/*`]),
    // bundled dependencies in CommonJS require modules of Node
    banner: { js: `import { createRequire as $createRequire } from 'node:module'; const require = $createRequire(import.meta.url);` },
    plugins: [...plugins, placesOfSources(root)],
    logLevel: 'warning',
  })
}

/** Makes the import of each command an import of them all. */
function commandsTogether(root: string): Plugin {
  const list = join(root, 'cli/commands.ts')
  const text = readFileSync(list, 'utf8')
  const each = /'(\.\/commands\/[^']+)'/g
  const all = [...text.matchAll(each)].map(([, path]) => `export * from '${path}'`).join('\n')
  return {
    name: 'commands together',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^lockstep:commands$/ }, ({ path }) => ({ path, namespace: 'lockstep commands' }))
      onLoad({ filter: /.*/, namespace: 'lockstep commands' }, () => ({ contents: all, resolveDir: dirname(list) }))
      onLoad({ filter: /cli\/commands\.ts$/ }, () => ({ contents: text.replaceAll(each, `'lockstep:commands'`), loader: 'ts' }))
    },
  }
}

const folderModule = 'lockstep:folder'

/** A bundled source finds the files beside it, such as a worker's script, as if it were a file of its own in `out`. */
function placesOfSources(root: string): Plugin {
  return {
    name: 'places of sources',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: new RegExp(`^${folderModule}$`) }, ({ path }) => ({ path, namespace: 'lockstep' }))
      onLoad({ filter: /.*/, namespace: 'lockstep' }, () => ({
        // it lies in "chunks", whether it has a file of its own or shares one
        contents: `export const placeOf = (path) => new URL('../' + path, import.meta.url)`,
      }))
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8')
        if (path.includes('/node_modules/') || !/import\.meta\.(url|dirname|filename)/.test(text)) return undefined
        const place = `$placeOf(${JSON.stringify(`${relative(root, path).slice(0, -extname(path).length)}.js`)})`
        const head = `import { placeOf as $placeOf } from '${folderModule}'; import { fileURLToPath as $fileURLToPath } from 'node:url';`
        const contents = text
          .replaceAll('import.meta.url', `${place}.href`)
          .replaceAll('import.meta.dirname', `$fileURLToPath(new URL('.', ${place})).slice(0, -1)`)
          .replaceAll('import.meta.filename', `$fileURLToPath(${place})`)
        return { contents: `${head}${contents}`, loader: 'ts', resolveDir: dirname(path) }
      })
    },
  }
}
