import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isPure, reachesConsole, reachesEnvironment, reachesRequire } from './global-uses.ts'
import { type SourceFile, packageOf, parse, rootFolder, sourceFiles } from './source-files.ts'

/** A file imports from its own room or from a room of a lower rank: never sideways, never up. */
const ranks: Readonly<Record<string, number>> = {
  kernel: 0,
  statistics: 0,
  migrations: 0,
  runtime: 1,
  registry: 2,
  offline: 3,
  online: 3,
  inference: 3,
  materializer: 4,
  client: 4,
  monitoring: 5,
  serving: 6,
  training: 7,
  cli: 8,
  'index.ts': 8,
}

/** The rooms that take the compiled plan as an argument, and so know nothing of the registry. */
const withoutRegistry: readonly string[] = ['offline', 'online']

/** The room that runs in browsers: at run time it reaches itself and the kernel, no package and no module of Node. */
const anywhere = 'client'

/** The npm packages that each room imports: all of them, and no other. */
const packages: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  statistics: [],
  migrations: ['kysely'],
  runtime: [
    '@aws-sdk/client-s3',
    '@electric-sql/pglite',
    '@nats-io/jetstream',
    '@nats-io/transport-node',
    '@opentelemetry/api',
    '@opentelemetry/exporter-trace-otlp-proto',
    '@opentelemetry/resources',
    '@opentelemetry/sdk-trace',
    '@platformatic/kafka',
    'avsc',
    'google-auth-library',
    'ioredis',
    'kysely',
    'pg',
    'pg-copy-streams',
    'pino',
    'prom-client',
    'zod',
  ],
  registry: ['esbuild', 'kysely', 'oxc-parser', 'zod'],
  offline: ['@duckdb/node-api', 'csv-parse', 'hyparquet', 'hyparquet-compressors', 'hyparquet-writer', 'zod'],
  online: ['ioredis', 'prom-client'],
  materializer: ['kysely', 'prom-client', 'zod'],
  inference: ['lru-cache', 'onnxruntime-node', 'zod'],
  monitoring: ['kysely', 'nodemailer', 'prom-client', 'zod'],
  serving: ['@grpc/grpc-js', '@grpc/proto-loader', 'hono', 'prom-client', 'zod'],
  training: ['kysely', 'prom-client'],
  client: [],
  cli: ['date-fns'],
  'index.ts': [],
}

/** The places, within their rooms, that alone may import these packages. */
const homes: Readonly<Record<string, readonly string[]>> = {
  ioredis: ['online/redis-', 'runtime/redis/'],
  'onnxruntime-node': ['inference/'],
  '@nats-io/jetstream': ['runtime/streams/nats-'],
  '@nats-io/transport-node': ['runtime/streams/nats-'],
  '@duckdb/node-api': ['offline/duckdb/'],
  '@platformatic/kafka': ['runtime/streams/kafka-'],
  avsc: ['runtime/streams/avro-'],
  nodemailer: ['monitoring/alerts/deliver/send-mail.ts'],
  '@opentelemetry/api': ['runtime/tracing/'],
  '@opentelemetry/exporter-trace-otlp-proto': ['runtime/tracing/'],
  '@opentelemetry/resources': ['runtime/tracing/'],
  '@opentelemetry/sdk-trace': ['runtime/tracing/'],
  '@grpc/grpc-js': ['serving/protocols/grpc/'],
  '@grpc/proto-loader': ['serving/protocols/grpc/'],
  hono: ['serving/protocols/http/'],
  '@aws-sdk/client-s3': ['runtime/storage/s3-store.ts'],
  'google-auth-library': ['runtime/storage/gcs-store.ts'],
}

/** The packages of the dashboard, which are bundled: the package depends on none of them. */
const browserPackages: readonly string[] = [
  '@dagrejs/dagre',
  '@mantine/core',
  '@mantine/hooks',
  '@mantine/notifications',
  '@mantine/spotlight',
  '@tanstack/react-query',
  '@tanstack/react-router',
  '@tanstack/react-virtual',
  'react',
  'react-dom',
  'uplot',
]

const rooms = Object.keys(ranks)
const product = sourceFiles(rooms)
const browser = sourceFiles(['ui'])
const everything = [...product, ...browser, ...sourceFiles(['test', 'bench', 'build', 'examples'])]

const roomOf = (path: string): string => path.split('/')[0] ?? path
const isOwn = (imported: string): boolean => /\.(tsx?|json|css)$/.test(imported) && !imported.startsWith('node:')

/** The npm packages that the files import, in order. */
function packagesOf(files: readonly SourceFile[]): string[] {
  const foreign = files.flatMap((file) => file.imports).filter((name) => !isOwn(name) && !name.startsWith('node:'))
  return [...new Set(foreign.map(packageOf))].toSorted()
}

/** Says what is wrong with each import of a product file: nothing, if all is well. */
function wrongImports(file: SourceFile): string[] {
  const room = roomOf(file.path)
  const rank = ranks[room] ?? -1
  return file.imports.flatMap((imported) => {
    if (imported === 'node:crypto' && room === 'statistics') return []
    if (imported.startsWith('node:'))
      return ['kernel', 'statistics', anywhere].includes(room) ? [`${file.path} imports ${imported}: ${room}/ knows no Node`] : []
    if (isOwn(imported)) {
      const other = roomOf(imported)
      const otherRank = ranks[other]
      if (otherRank === undefined) return [`${file.path} imports ${imported}, which is not of the product`]
      if (other !== room && otherRank >= rank) return [`${file.path} imports ${imported}, which is not of a lower room`]
      if (room === anywhere && ![anywhere, 'kernel'].includes(other) && file.runtimeImports.includes(imported))
        return [`${file.path} imports ${imported} at run time: ${room}/ takes types of others alone`]
      if (room === anywhere && ![anywhere, 'kernel', 'registry'].includes(other))
        return [`${file.path} imports ${imported}: not for ${room}/`]
      if (other === 'registry' && withoutRegistry.includes(room))
        return [`${file.path} imports ${imported}: ${room}/ takes plans as arguments`]
      return []
    }
    const name = packageOf(imported)
    if (packages[room]?.includes(name) !== true) return [`${file.path} imports ${name}, which is not on the list of ${room}`]
    const home = homes[name]
    if (home !== undefined && !home.some((place) => file.path.startsWith(place)))
      return [`${file.path} imports ${name}, whose home is ${home.join(' and ')}`]
    return []
  })
}

/** The cycles of what is imported at run time: each as the path from a file back to itself. */
function cycles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) found.push([...trail.slice(at), path].join(' -> '))
    if (at >= 0 || done.has(path)) return
    for (const imported of byPath.get(path)?.runtimeImports ?? []) visit(imported, [...trail, path])
    done.add(path)
  }
  for (const file of files) visit(file.path, [])
  return found
}

describe('the rooms', () => {
  it('are all there', () => {
    expect(rooms.filter((room) => !product.some((file) => roomOf(file.path) === room))).toEqual([])
  })

  it('import only lower rooms and the packages of their own list', () => {
    expect(product.flatMap(wrongImports)).toEqual([])
  })

  it('have no import cycle', () => {
    expect(cycles(everything)).toEqual([])
  })

  it('lean one way inside serving/: protocols on predict, predict on what it uses, and traffic on none', () => {
    const below: Readonly<Record<string, readonly string[]>> = {
      traffic: ['features', 'models', 'rollouts', 'predict', 'batch', 'streaming', 'find', 'protocols', 'dashboard'],
      features: ['predict', 'batch', 'streaming', 'find', 'protocols', 'dashboard'],
      models: ['predict', 'batch', 'streaming', 'find', 'protocols', 'dashboard'],
      rollouts: ['predict', 'batch', 'streaming', 'find', 'protocols', 'dashboard'],
      predict: ['batch', 'streaming', 'find', 'protocols', 'dashboard'],
      batch: ['protocols', 'dashboard'],
      streaming: ['protocols', 'dashboard'],
      find: ['protocols', 'dashboard'],
    }
    const wrong = Object.entries(below).flatMap(([folder, others]) =>
      product
        .filter(({ path }) => path.startsWith(`serving/${folder}/`))
        .flatMap(({ path, imports }) =>
          imports.filter((name) => others.some((other) => name.startsWith(`serving/${other}/`))).map((name) => `${path} imports ${name}`),
        ),
    )
    expect(wrong).toEqual([])
  })

  it('import only files that exist', () => {
    const files = new Set(globSync(['*', '*/**'], { cwd: rootFolder, exclude: ['node_modules/**', 'dist/**'] }))
    expect(
      everything.flatMap((file) => file.imports.filter((name) => isOwn(name) && !files.has(name)).map((name) => `${file.path}: ${name}`)),
    ).toEqual([])
  })

  it('import every package that is on their list', () => {
    const imported = Object.fromEntries(rooms.map((room) => [room, packagesOf(product.filter((file) => roomOf(file.path) === room))]))
    expect(imported).toEqual(packages)
  })

  it('depend at run time only on what package.json lists as dependencies, and as optional ones', () => {
    const manifest: { dependencies: Record<string, string>; peerDependenciesMeta: Record<string, { optional: true }> } = JSON.parse(
      readFileSync(join(rootFolder, 'package.json'), 'utf8'),
    )
    const others = packagesOf(product).filter((name) => !Object.hasOwn(manifest.dependencies, name))
    expect(others).toEqual(Object.keys(manifest.peerDependenciesMeta))
  })
})

describe('the dashboard', () => {
  it('imports itself, its packages and the types of its contract with the server', () => {
    const wrong = browser.flatMap(({ path, imports, runtimeImports }) =>
      imports
        .filter((name) => {
          if (!isOwn(name)) return name.startsWith('node:') || !browserPackages.includes(packageOf(name))
          return !name.startsWith('ui/') && (!name.startsWith('serving/dashboard/contract/') || runtimeImports.includes(name))
        })
        .map((name) => `${path} imports ${name}`),
    )
    expect(wrong).toEqual([])
  })

  it('imports every package of its list', () => {
    expect(packagesOf(browser)).toEqual(browserPackages)
  })
})

describe('every file', () => {
  it('has at most 500 lines', () => {
    expect(everything.filter((file) => file.lines > 500).map((file) => `${file.path}: ${file.lines} lines`)).toEqual([])
  })

  it('wires and does nothing else if it is the server: under 200 lines', () => {
    expect(product.find(({ path }) => path === 'serving/server.ts')?.lines).toBeLessThan(200)
  })

  it('has no comment line over 120 characters, except in commands, tables and links', () => {
    const long = everything.flatMap(({ path }) =>
      readFileSync(join(rootFolder, path), 'utf8')
        .split('\n')
        .flatMap((line, i) => (line.length > 120 && /^\s*(\/\/|\/?\*+) (?! {4}|.*https:|\{")/.test(line) ? [`${path}:${i + 1}`] : [])),
    )
    expect(long).toEqual([])
  })

  it('is named in kebab-case', () => {
    expect(
      everything.filter((file) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.(test|test-d|config))?\.tsx?$/.test(file.path)).map((file) => file.path),
    ).toEqual([])
  })

  it('is not in a folder that sorts by kind of syntax', () => {
    expect(
      everything.filter((file) => /(^|\/)(utils?|types|classes|interfaces|helpers)(\/|\.ts$)/.test(file.path)).map((file) => file.path),
    ).toEqual([])
  })
})

describe('the product', () => {
  /** The product's files that use such a global, or that import one of these modules in its place. */
  const users = (reaches: (use: string) => boolean, ...modules: readonly string[]): string[] =>
    product
      .filter((file) => [...file.globals].some(reaches) || modules.some((name) => file.imports.includes(name)))
      .map((file) => file.path)

  it('reads the environment in runtime/config.ts, and elsewhere only to set it early', () => {
    expect(users(reachesEnvironment, 'node:process')).toEqual([
      'inference/onnx-runtime.ts',
      // what children get of it
      'inference/spawn-model-process.ts',
      'runtime/cache-folder.ts',
      'runtime/compile-cache.ts',
      'runtime/config.ts',
    ])
  })

  it('prints only in cli/, except for the log', () => {
    const printers = users(reachesConsole, 'node:process', 'node:console')
    const others = printers.filter((path) => !path.startsWith('cli/') && !path.endsWith('-child.ts'))
    expect(others).toEqual(['runtime/log-destination.ts'])
  })

  it('decides by error codes, not by error messages', () => {
    // a test, a comparison or a search of the text of an error; servers say it in the language of their settings
    const said = String.raw`(?:\b(?:\w*[eE]rror|\w*[cC]ause|e|root)\??\.message|messageOf\([^()]*\))`
    const decides = new RegExp(
      String.raw`\.test\((?:String\()?${said}|\.exec\(${said}|${said}\)?\??\.(?:startsWith|endsWith|includes|match|search|indexOf)\(|${said} [!=]== '[^']`,
    )
    const deciders = product.filter(({ path }) => decides.test(readFileSync(join(rootFolder, path), 'utf8'))).map(({ path }) => path)
    expect(deciders).toEqual([
      // clients of PostgreSQL and Redis, whose own errors have no codes and are never translated; Redis' answers begin
      // with their code
      'online/redis-cluster-nodes.ts',
      'online/redis-error.ts',
      // the engine itself, which fails with texts of its own alone
      'runtime/embedded/embedded-failure.ts',
      'runtime/postgres/postgres-unavailable.ts',
      'runtime/redis/cannot-save.ts',
      'runtime/redis/redis-cluster.ts',
      'runtime/streams/redis-consumer.ts',
    ])
  })

  it('imports by a computed name only what a user wrote: definitions and configuration', () => {
    expect(product.filter((file) => file.importsComputed).map((file) => file.path)).toEqual([
      'registry/bundle/transform-places.ts',
      'runtime/import-within.ts',
    ])
  })

  it('imports, and never requires', () => {
    const requiring = product.filter((file) => file.requires || [...file.globals].some(reachesRequire)).map((file) => file.path)
    // an import of node:http would load the client behind fetch too
    expect(requiring).toEqual(['runtime/node-http.ts'])
  })

  it('uses no clock and no randomness in the kernel and in statistics', () => {
    const odd = product
      .filter((file) => ['kernel', 'statistics'].includes(roomOf(file.path)))
      .flatMap((file) => [...file.globals].filter((use) => !isPure(use)).map((use) => `${file.path}: ${use}`))
    // Stored code is compiled there, with a clock and a chance that refuse in place of the real ones.
    expect(odd.toSorted()).toEqual(['Date', 'Math', 'new Function(…)', 'new Proxy(…)'].map((use) => `kernel/transform.ts: ${use}`))
  })
})

describe('these rules', () => {
  const wrong = (path: string, text: string): string[] => wrongImports(parse(path, text))

  it('see static, re-exporting, dynamic and type imports, and files named by URL', () => {
    const text = `import '../a.ts'; export * from '../b.ts'; await import('../c.ts'); type D = import('../d.ts').D; new URL('./e.ts', import.meta.url)`
    expect(parse('kernel/x.ts', text).imports).toEqual(['a.ts', 'b.ts', 'c.ts', 'd.ts', 'kernel/e.ts'])
  })

  it('refuse an import to a higher rank, a sibling, an unlisted or a private module', () => {
    expect(wrong('kernel/x.ts', `import type { A } from '../runtime/postgres/database.ts'`)).toHaveLength(1)
    expect(wrong('materializer/x.ts', `import { a } from '../monitoring/a.ts'`)).toHaveLength(1)
    expect(wrong('online/x.ts', `import { a } from '../registry/a.ts'`)).toHaveLength(1)
    expect(wrong('runtime/x.ts', `import { a } from '../test/a.ts'`)).toHaveLength(1)
    expect(wrong('kernel/x.ts', `import { readFile } from 'node:fs/promises'`)).toHaveLength(1)
    expect(wrong('online/x.ts', `import { z } from 'zod/mini'`)).toHaveLength(1)
    expect(wrong('serving/x.ts', `import { Hono } from 'hono'`)).toHaveLength(1)
    expect(wrong('client/x.ts', `import { a } from '../registry/define/t.ts'`)).toHaveLength(1)
    expect(wrong('client/x.ts', `import type { A } from '../runtime/a.ts'`)).toHaveLength(1)
    expect(wrong('client/x.ts', `import type { A } from '../registry/define/t.ts'\nimport { b } from '../kernel/values/time.ts'`)).toEqual(
      [],
    )
    expect(wrong('client/x.ts', `import { join } from 'node:path'`)).toHaveLength(1)
    expect(wrong('serving/protocols/http/x.ts', `import { Hono } from 'hono'\nimport { a } from '../../../online/a.ts'`)).toEqual([])
  })

  it('see a cycle of runtime imports', () => {
    const files = [
      parse('kernel/a.ts', `import { type B } from './b.ts'`),
      parse('kernel/b.ts', `export * from './c.ts'`),
      parse('kernel/c.ts', `import('./a.ts')`),
    ]
    expect(cycles(files)).toEqual(['kernel/a.ts -> kernel/b.ts -> kernel/c.ts -> kernel/a.ts'])
    expect(cycles([parse('kernel/a.ts', `import type { B } from './b.ts'`), ...files.slice(1)])).toEqual([])
  })
})
