import { execFile } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { emptyOutFolder } from '../build/out-folder.ts'
import { commands } from '../cli/commands.ts'
import { templateNames } from '../cli/init/templates.ts'
import { installMs, installPackage, programOf } from './install-package.ts'
import { rootFolder } from './source-files.ts'

const run = promisify(execFile)

describe('the package that is published', () => {
  let project = ''
  let installed = ''
  let packed: readonly string[] = []

  beforeAll(async () => {
    ;({ project, installed, packed } = await installPackage('build'))
  }, installMs)

  async function lockstep(args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    return run(process.execPath, [programOf(installed), ...args], { cwd: project })
  }

  async function compile(...options: string[]): Promise<void> {
    const tsc = join(rootFolder, 'node_modules/typescript/bin/tsc')
    await run(process.execPath, [tsc, ...options], { cwd: project }).catch(({ stdout }: { stdout: string }) => expect.fail(stdout))
  }

  it('contains the built product and its licence, without tests', () => {
    expect(packed).toEqual(
      expect.arrayContaining([
        'package/index.js',
        'package/index.d.ts',
        'package/cli/main.js',
        'package/LICENSE',
        'package/README.md',
        'package/docs/configuration.md',
        'package/observability/prometheus/rules.yaml',
        'package/observability/grafana/overview.json',
        'package/serving/protocols/grpc/inference.proto',
        'package/templates/shared/gitignore',
        'package/ui/index.html',
        'package/ui/licenses.txt',
        'package/templates/fraud/models/fraud.onnx',
      ]),
    )
    const compiled = packed.filter((file) => !file.startsWith('package/templates/'))
    expect(compiled.filter((file) => /(^package\/(test|bench|examples|build|\.[^/]*)(\/|$))|(?<!\.d)\.ts$/.test(file))).toEqual([])
  })

  it('has each page and file that its README and docs name, except examples and sources', async () => {
    const linked = new Set<string>()
    for (const page of ['README.md', ...globSync('docs/*.md', { cwd: installed })]) {
      const text = await readFile(join(installed, page), 'utf8')
      for (const [, path = ''] of text.matchAll(/\]\((?!https?:)([^):#]+)[^)]*\)/g)) linked.add(join(dirname(page), path))
    }
    const kept = [...linked].filter((path) => !/^(examples|test|observability\/grafana\/source)\//.test(path))
    expect(kept.length).toBeGreaterThan(60)
    expect(kept.filter((path) => !existsSync(join(installed, path)))).toEqual([])
  })

  it('brings dependencies along, so that npm runs no script and finds no old engine', async () => {
    const lock: { packages: Record<string, { dev?: true; optional?: true; hasInstallScript?: true; engines?: { node?: string } }> } =
      JSON.parse(await readFile(join(rootFolder, 'package-lock.json'), 'utf8'))
    const installedByNpm = Object.entries(lock.packages).filter(
      ([path, { dev, optional }]) => path.startsWith('node_modules/') && !dev && !optional && !existsSync(join(installed, path)),
    )
    expect(installedByNpm.length).toBeGreaterThan(10)
    const tooNew = /^\s*(>=|\^)\s*2[1-9]/
    expect(installedByNpm.filter(([, { hasInstallScript, engines }]) => hasInstallScript || tooNew.test(engines?.node ?? ''))).toEqual([])
    const brought = globSync('node_modules/{*,@*/*}/package.json', { cwd: installed }).map((file) => join(installed, file))
    expect(brought.length).toBeGreaterThan(20)
    for (const file of brought) expect(JSON.parse(await readFile(file, 'utf8'))).not.toHaveProperty('scripts')
  })

  it.each([
    { line: 'lockstep', text: 'Commands to begin with:', maxModules: 80 },
    { line: 'lockstep help', text: 'materialize [VIEW…]', maxModules: 80 },
    { line: 'lockstep status --help', text: 'Usage: lockstep status [OPTIONS]', maxModules: 80 },
    // it has a context, as all commands that run
    { line: 'lockstep completion bash', text: "'ingest list '*)", maxModules: 240 },
  ])('answers "$line" without loading the code of other commands', async ({ line, text, maxModules }) => {
    const counter = join(project, 'count-modules.mjs')
    await writeFile(
      counter,
      `import { registerHooks } from 'node:module'
      let count = 0
      registerHooks({ load: (url, context, next) => (url.startsWith('file:') && count++, next(url, context)) })
      process.on('exit', () => console.error(count))`,
    )
    const words = line.split(' ').slice(1)
    const { stdout, stderr } = await run(process.execPath, ['--import', counter, programOf(installed), ...words], { cwd: project })
    expect(stdout).toContain(text)
    expect(Number(stderr)).toBeGreaterThan(10)
    expect(Number(stderr)).toBeLessThanOrEqual(maxModules)
  })

  it('lists all commands in its help', async () => {
    const { stdout } = await lockstep(['help'])
    expect(commands.filter(({ name }) => !stdout.includes(`\n  ${name}`))).toEqual([])
  })

  it('gives a definitions file its imports without a database driver or model runtime', async () => {
    const definitions = `
      import { createRequire, registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { count, entity, featureView, source, t } = await import('lockstep')
      const airport = entity('airport', { key: { airport: t.string } })
      const landings = source('landings', { table: 'flights', key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 } })
      const view = featureView('delays', { version: 1, entity: airport, source: landings, features: { landed: count('1h') } })
      console.log(JSON.stringify({ frozen: Object.isFrozen(view), loaded }))
    `
    await writeFile(join(project, 'features.mjs'), definitions)
    const { stdout } = await run(process.execPath, ['features.mjs'], { cwd: project })
    const { frozen, loaded }: { frozen: boolean; loaded: string[] } = JSON.parse(stdout)
    expect(frozen).toBe(true)
    expect(loaded.filter((url) => /node_modules\/(pg|ioredis|onnxruntime-node|esbuild|hono|@electric-sql)\//.test(url))).toEqual([])
  })

  it('loads every module with only its declared dependencies', async () => {
    // all but programs, which run when they are loaded, and what a page runs in a browser
    const modules = packed
      .filter(
        (file) =>
          file.endsWith('.js') && !/(cli\/main|-child|-worker|\/trainers\/[^/]+|http\/openapi\/try|ui\/assets\/[^/]+)\.js$/.test(file),
      )
      .map((file) => file.replace('package/', ''))
    await writeFile(join(project, 'all.mjs'), modules.map((file) => `import ${JSON.stringify(join(installed, file))}\n`).join(''))
    await expect(run(process.execPath, ['all.mjs'], { cwd: project })).resolves.toEqual({ stdout: '', stderr: '' })
  })

  it('writes projects whose files compile', async () => {
    const init = `
      const { run } = await import(${JSON.stringify(join(installed, 'cli/run.js'))})
      for (const template of ${JSON.stringify(templateNames)})
        process.exitCode ||= await run(['init', template, '--template', template], new AbortController().signal)
    `
    await run(process.execPath, ['--input-type=module', '--eval', init], { cwd: project })
    await compile('--build', ...templateNames)
  })

  it('types definitions, and a page that uses the client, without types of Node', async () => {
    const definitions = `
      import { count, entity, featureService, featureView, source, t } from 'lockstep'
      const airport = entity('airport', { key: { airport: t.string } })
      const landings = source('landings', { key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 } })
      const delays = featureView('delays', { version: 2, entity: airport, source: landings, features: { landed: count('1h') } })
      export const flights = featureService('flights', { version: 3, features: [delays] })
      // @ts-expect-error a key has types, not names of types
      export const wrong = entity('wrong', { key: { airport: 'string' } })
    `
    const page = `
      import { createClient } from 'lockstep/client'
      import type * as definitions from './service.ts'
      const client = createClient<typeof definitions>({ url: 'https://features.example.com' })
      export const landed: Promise<number | undefined> = client.features('flights@3', [{ airport: 'ATL' }]).then(({ results }) => results[0]?.features.landed)
      // @ts-expect-error a program is built with one version
      void client.features('flights', [{ airport: 'ATL' }])
    `
    await writeFile(join(project, 'service.ts'), definitions)
    await writeFile(join(project, 'page.ts'), page)
    const options = '--noEmit --strict --module nodenext --target es2024 --lib es2024,dom --allowImportingTsExtensions --types'
    await compile('page.ts', ...options.split(' '), '')
  })

  it('reports the required version to an old Node, before anything else', async () => {
    const old = `Object.defineProperty(process.versions, 'node', { value: '20.20.2' })`
    await writeFile(join(project, 'old.cjs'), old)
    const start = run(process.execPath, ['--require', join(project, 'old.cjs'), programOf(installed), '--help'], {
      cwd: project,
    })
    await expect(start).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^Lockstep needs Node 22\.23, 24\.15 or 26, or newer, and this is Node 20\.20\.2\. .*\n$/),
    })
  })
})

describe('the folder of a build', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-out-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  const empty = (out = folder): void => emptyOutFolder(out, rootFolder)
  const put = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text)

  it('is created if it is missing, with its parent folders', async () => {
    empty(join(folder, 'new', 'dist'))
    expect(await readdir(join(folder, 'new', 'dist'))).toEqual(['.lockstep-build'])
  })

  it('is replaced if it holds an earlier build, complete or interrupted', async () => {
    empty()
    await put('stale.js', '')
    empty()
    expect(await readdir(folder)).toEqual(['.lockstep-build'])
    await put('package.json', '{ "name": "lockstep" }')
    empty()
    expect(await readdir(folder)).toEqual(['.lockstep-build'])
  })

  it('is refused and left unchanged if it holds anything else', async () => {
    await put('thesis.txt', 'years of work')
    expect(() => empty()).toThrow(`"${folder}" is not empty and not an earlier build`)
    await put('package.json', '{ "name": "lockstep" }')
    expect(() => empty()).toThrow('not an earlier build')
    await put('.lockstep-build', '')
    await mkdir(join(folder, '.git'))
    expect(() => empty()).toThrow('not an earlier build')
    await rm(join(folder, '.git'), { recursive: true })
    await put('package.json', '{ "name": "thesis" }')
    expect(() => empty()).toThrow('not an earlier build')
    expect(await readFile(join(folder, 'thesis.txt'), 'utf8')).toBe('years of work')
  })

  it('is refused if it is or contains the repository, by any path', async () => {
    const root = join(folder, 'clone')
    await mkdir(root)
    await symlink(root, join(folder, 'link'))
    for (const out of [root, folder, join(root, 'dist', '..'), join(folder, 'link'), '/']) {
      expect(() => emptyOutFolder(out, root)).toThrow(`"${out}" holds the sources`)
    }
    expect(() => emptyOutFolder(join(root, 'dist'), root)).not.toThrow()
    expect(() => emptyOutFolder(join(folder, 'clone-dist'), root)).not.toThrow()
    expect(() => emptyOutFolder(join(root, '..dist'), root)).not.toThrow()
  })

  it('is looked at before the build touches it', async () => {
    await put('thesis.txt', 'years of work')
    await expect(run(process.execPath, ['build/build.ts', folder], { cwd: rootFolder })).rejects.toMatchObject({
      stderr: expect.stringContaining('is not empty and not an earlier build'),
    })
    expect(await readdir(folder)).toEqual(['thesis.txt'])
  })
})
