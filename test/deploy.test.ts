import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { serverPatienceMs } from '../cli/interrupt.ts'
import { prepare } from '../cli/run.ts'
import { variables } from '../runtime/settings/variables.ts'
import { isFileVariable } from '../runtime/settings/secret-files.ts'
import { routes } from '../serving/protocols/http/routes.ts'
import { rootFolder } from './source-files.ts'

// What deploy/ and its page say is what the program has. `node test/peers/deploy.ts` checks the files by the tools of
// Docker, Kubernetes and systemd.

const files = globSync('deploy/**/*', { cwd: rootFolder, withFileTypes: true }).filter((entry) => entry.isFile())
const texts = new Map(
  [
    'docs/deploy.md',
    ...files.map(({ parentPath, name }) => join(parentPath, name).slice(rootFolder.length + 1)),
    'deploy/.env.example',
  ].map((path) => [path, readFileSync(join(rootFolder, path), 'utf8')]),
)
const text = (path: string): string => texts.get(path) ?? ''
const compose = text('deploy/compose.yaml')
const docker = text('deploy/Dockerfile')
const chart = (name: string): string => text(`deploy/helm/lockstep/${name}`)
const ofBatches = ['job', 'cron-job', 'scaled-job'].map((name) => text(`deploy/kubernetes/batch-${name}.yaml`))
const units = ['server', 'worker'].map((name) => text(`deploy/systemd/lockstep-${name}.service`))
const found = (in_: string, pattern: RegExp): string[] => [...in_.matchAll(pattern)].map(([, group = '']) => group)

describe('deploy/', () => {
  it('names only variables that exist', () => {
    const named = [...texts].flatMap(([path, content]) =>
      found(content, /\b(LOCKSTEP_[A-Z0-9_]*[A-Z0-9])\b/g).map((name) => [path, name] as const),
    )
    expect(named.length).toBeGreaterThan(30)
    expect(named.filter(([, name]) => !Object.hasOwn(variables.shape, name) && !isFileVariable(name))).toEqual([])
  })

  it('runs only commands and options that exist', async () => {
    const ofLists = found(compose, /^ {4}command: \[((?:migrate|serve|worker)[^\]]*)\]/gm).map((list) => list.split(', '))
    const ofUnits = units.flatMap((unit) => found(unit, /^ExecStart=\S+ \S+lockstep\.cjs (.*)$/gm)).map((line) => line.split(' '))
    const ofChart = ['server', 'worker', 'migrate'].map((name) =>
      found(chart(`templates/${name}.yaml`), /^ +args:(?: \[(.*)\]|\n((?: +(?:- .*|\{\{- .*)\n)+?) +env:)/gm),
    )
    const commands = [...ofLists, ...ofUnits, ['serve', '--workers', '4'], ['worker', '--concurrency', '1']]
    expect([ofLists.length, ofUnits.length, ofChart.length]).toEqual([3, 2, 3])
    expect(chart('templates/server.yaml')).toMatch(/args:\n +- serve\n.*\n +- --workers\n/)
    expect(chart('templates/worker.yaml')).toMatch(/args:\n +- worker\n +- --concurrency\n/)
    expect(chart('templates/migrate.yaml')).toContain('args: [migrate]')
    for (const words of commands) await expect(prepare(words)).resolves.toBeTypeOf('function')
    expect(docker).toContain('CMD ["serve"]')
    const [once = '', daily = '', worker = ''] = ofBatches
    const words = found(/args:\n((?: +(?:- )?.*\n)+?) +resources:/.exec(once)?.[1] ?? '', /^ +- (?:>-\n +)?(.*)$/gm)
    expect(words.slice(0, 3)).toEqual(['batch', 'run', 'fraud'])
    const [script = ''] = found(daily, /lockstep\.cjs (batch run [^]*?)\n +resources:/g)
    const ofScript = found(script.replaceAll('\\\n', ' '), /("[^"]*"|[^\s"]+)/g)
    const ofWorker = found(worker, / args: \[(.*)\]/g).flatMap((list) => list.split(', '))
    for (const given of [words, ofScript, ofWorker]) await expect(prepare(given)).resolves.toBeTypeOf('function')
  })

  it('probes only paths and ports that are served', () => {
    const probes = ['server', 'worker'].flatMap((name) =>
      found(chart(`templates/${name}.yaml`), /httpGet: \{ path: (\S+), port: metrics \}/g),
    )
    expect(probes).toHaveLength(6)
    const served = routes.map(({ path }) => path)
    expect(probes.filter((path) => !served.includes(path))).toEqual([])
    const port = String(variables.parse({}).LOCKSTEP_PORT)
    expect(found(docker, /^EXPOSE (\d+)$/gm)).toEqual([port])
    expect(found(compose, /ports: \['127\.0\.0\.1:\d+:(\d+)'\]/g)).toEqual([port, '3000'])
    const server = chart('templates/server.yaml')
    expect(server).toContain(`- name: LOCKSTEP_PORT\n              value: "${port}"`)
    expect(server).toContain(`- name: http\n              containerPort: ${port}`)
    for (const name of ['server', 'worker'])
      expect(chart(`templates/${name}.yaml`)).toMatch(
        /name: LOCKSTEP_METRICS_PORT\n +value: "9090"[^]*name: metrics\n +containerPort: 9090/,
      )
  })

  it('waits longer for a process to end than the process itself', () => {
    const seconds = [
      ...found(compose, /stop_grace_period: (\d+)s/g),
      ...found(chart('values.yaml'), /^terminationGracePeriodSeconds: (\d+)/gm),
      ...ofBatches.flatMap((file) => found(file, /terminationGracePeriodSeconds: (\d+)/g)),
      ...found(units[0] ?? '', /^TimeoutStopSec=(\d+)/gm),
    ].map(Number)
    expect(seconds).toHaveLength(6)
    for (const each of seconds) expect(each * 1000).toBeGreaterThan(serverPatienceMs + 1000)
    const schema: { properties: { terminationGracePeriodSeconds: { minimum: number } } } = JSON.parse(chart('values.schema.json'))
    expect(schema.properties.terminationGracePeriodSeconds.minimum * 1000).toBeGreaterThan(serverPatienceMs + 1000)
  })

  it('gives Prometheus and Grafana files that exist, and the port of the metrics', () => {
    const mounted = found(compose, /^ +- (\.[^:]+):\/[^:]+:ro$/gm)
    expect(mounted).toHaveLength(4)
    expect(mounted.filter((path) => !existsSync(join(rootFolder, 'deploy', path)))).toEqual([])
    const prometheus = text('deploy/monitoring/prometheus.yaml')
    expect(found(prometheus, /names: \[(\w+)\], type: A, port: 9090/g)).toEqual(['server', 'worker'])
    expect(compose).toMatch(/LOCKSTEP_METRICS_PORT: '9090'[^]*?LOCKSTEP_METRICS_HOST: 0\.0\.0\.0/)
    expect(found(prometheus, /job_name: (\S+)/g).every((job) => job.startsWith('lockstep'))).toBe(true)
  })

  it('keeps the variables of a Kubernetes service out of all pods', () => {
    const pods = [...['server', 'worker', 'migrate'].map((name) => chart(`templates/${name}.yaml`)), ...ofBatches]
    for (const pod of pods) expect(pod).toContain('enableServiceLinks: false')
  })

  it('has the version of the package, and a Node that it runs on', () => {
    const manifest: { version: string; engines: { node: string } } = JSON.parse(readFileSync(join(rootFolder, 'package.json'), 'utf8'))
    const versions = [
      ...found(chart('Chart.yaml'), /^(?:appVersion|version): (.*)$/gm),
      ...[...texts.values()].flatMap((content) => found(content, /\blockstep:(\d[\w.-]*)/g)),
    ]
    expect(new Set(versions)).toEqual(new Set([manifest.version]))
    const [node = 0] = found(docker, /^ARG NODE_IMAGE=node:(\d+)/gm).map(Number)
    expect(node).toBeGreaterThan(Number(/\d+/.exec(manifest.engines.node)?.[0]))
  })

  it('sends Docker all folders that the build reads', () => {
    const { include }: { include: string[] } = JSON.parse(readFileSync(join(rootFolder, 'tsconfig.build.json'), 'utf8'))
    const sent = found(readFileSync(join(rootFolder, '.dockerignore'), 'utf8'), /^!(.*)$/gm)
    expect(
      [...include, 'bin', 'build', 'ui', 'package-lock.json', 'deploy/healthcheck.ts'].filter((place) => !sent.includes(place)),
    ).toEqual([])
  })
})

describe('the health check of the image', () => {
  it.each([
    [200, 'LOCKSTEP_METRICS_PORT', 0],
    [200, 'LOCKSTEP_PORT', 0],
    [503, 'LOCKSTEP_PORT', 1],
  ])('for an answer %d at %s ends with %d', async (status, variable, code) => {
    const server = createServer((request, response) => response.writeHead(request.url === '/livez' ? status : 404).end())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const env = { [variable]: String((server.address() as AddressInfo).port) }
    const ended = await new Promise((resolve) =>
      execFile(process.execPath, [join(rootFolder, 'deploy/healthcheck.ts')], { env }, (error) => resolve(error?.code ?? 0)),
    )
    server.close()
    expect(ended).toBe(code)
  })
})
