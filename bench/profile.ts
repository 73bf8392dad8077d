/**
 * A CPU profile of the predict path: the server of the serving bench under load of /v1/predict with one entity, over 64
 * connections, for some seconds. Prints the functions that took the most time, and the path of the profile, which
 * Chrome's and VS Code's tools open.
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- profile [--route predict|features|bulk|oipJson|oipBinary] [--entities 20000] [--seconds 8] [--out FOLDER]
 */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { load, loadTool } from './serving/load.ts'
import { inServedPlace } from './serving/served-place.ts'
import { targetsAt } from './serving/targets.ts'
import type { TargetName } from './serving/targets.ts'

const { values: args } = parseArgs({
  options: {
    route: { type: 'string', default: 'predict' },
    entities: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '8' },
    out: { type: 'string', default: '.profile' },
  },
})
const out = resolve(args.out)
await mkdir(out, { recursive: true })
const before = new Set(await readdir(out))
const profiled = ['--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', out]
await inServedPlace(Number(args.entities), profiled, async ({ served, key, folder }) => {
  const target = targetsAt(served.url, served.url, key, Number(args.entities))[args.route as TargetName]
  const { rps } = await load(await loadTool(), target, { connections: 64, seconds: Number(args.seconds), folder })
  process.stdout.write(`${rps.toFixed(0)} requests/s under the profiler\n`)
})
const made = (await readdir(out)).filter((name) => !before.has(name) && name.endsWith('.cpuprofile'))
for (const name of made) await printTop(join(out, name))

/** The format that V8 writes (https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile). */
interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

async function printTop(path: string): Promise<void> {
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(path, 'utf8')) as Profile
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]))
  const self = new Map<string, number>()
  let busy = 0
  for (const [i, sample] of samples.entries()) {
    const { functionName, url, lineNumber } = byId.get(sample) as Profile['nodes'][number]['callFrame']
    if (functionName === '(idle)') continue
    const name = `${functionName || '(anonymous)'} ${url.split('/').slice(-2).join('/')}:${lineNumber + 1}`
    self.set(name, (self.get(name) ?? 0) + (timeDeltas[i] ?? 0))
    busy += timeDeltas[i] ?? 0
  }
  process.stdout.write(`${path}: ${(busy / 1e6).toFixed(1)} s busy\n`)
  for (const [name, micros] of [...self].sort(([, a], [, b]) => b - a).slice(0, 50)) {
    process.stdout.write(`${((micros / busy) * 100).toFixed(1).padStart(6)} %  ${name}\n`)
  }
}
