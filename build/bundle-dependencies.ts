import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * The dependencies that the package brings along, with all that they depend on: npm would warn about their install
 * scripts or their engines, or run a script that downloads libraries for graphics cards. None of the scripts is needed.
 */
const bundled = [
  '@grpc/grpc-js',
  '@grpc/proto-loader',
  '@nats-io/jetstream',
  '@nats-io/transport-node',
  '@platformatic/kafka',
  'esbuild',
  'google-auth-library',
  'kysely',
  'onnxruntime-node',
]

/** Not bundled: what only install scripts use, and binaries for one platform, which npm chooses. */
const leftOut = /^(global-agent|adm-zip|@esbuild\/.*)$/
const platforms = /(linux|darwin)-(x64|arm64)$/

interface Manifest {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/**
 * Copies dependencies from `root` into `node_modules` of the built package, without their install scripts, and names
 * them in its manifest.
 */
export function bundleDependencies(out: string, root: string): void {
  const manifestPath = join(out, 'package.json')
  const manifest: Record<string, unknown> = JSON.parse(readFileSync(manifestPath, 'utf8'))
  const optional: Record<string, string> = {}
  const copied = new Set<string>()
  const copy = (name: string, from: string): void => {
    const folder = installed(name, from, root)
    if (copied.has(folder)) return
    copied.add(folder)
    const { dependencies = {}, optionalDependencies = {} } = copyPackage(folder, join(out, folder.slice(root.length)))
    for (const [each, version] of Object.entries(optionalDependencies)) if (platforms.test(each)) optional[each] = version
    for (const each of Object.keys(dependencies)) if (!leftOut.test(each)) copy(each, folder)
  }
  for (const name of bundled) copy(name, root)
  // no server of ours runs on it, and its libraries are half of the package
  for (const folder of globSync(join(out, 'node_modules/onnxruntime-node/bin/*/win32'))) rmSync(folder, { recursive: true })
  const all = { ...manifest, bundleDependencies: bundled, optionalDependencies: optional }
  writeFileSync(manifestPath, `${JSON.stringify(all, null, 2)}\n`)
}

/** Where a package that `from` imports is installed. */
function installed(name: string, from: string, root: string): string {
  for (let at = from; ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name)
    if (existsSync(folder)) return folder
    if (at === root) throw new Error(`"${name}", which "${from}" needs, is not installed: run npm ci.`)
  }
}

function copyPackage(from: string, to: string): Manifest {
  const manifest: Manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'))
  mkdirSync(to, { recursive: true })
  cpSync(from, to, { recursive: true, filter: (path) => !/\/(node_modules|binding\.gyp)$/.test(path.slice(from.length)) })
  const dependencies = Object.fromEntries(Object.entries(manifest.dependencies ?? {}).filter(([name]) => !leftOut.test(name)))
  const kept = Object.fromEntries(
    Object.entries(manifest).filter(
      ([field]) => !['scripts', 'engines', 'devDependencies', 'optionalDependencies', 'gypfile'].includes(field),
    ),
  )
  writeFileSync(join(to, 'package.json'), `${JSON.stringify({ ...kept, dependencies }, null, 2)}\n`)
  return manifest
}
