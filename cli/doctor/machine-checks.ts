import { lookup } from 'node:dns/promises'
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { dirname, join, sep } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { initializeOrt } from '../../inference/initialize-ort.ts'
import type { Config } from '../../runtime/config.ts'
import { filesWarning } from '../../runtime/files/files-warning.ts'
import { tryPort } from '../../runtime/listen.ts'
import type { TlsFiles } from '../../runtime/tls-pair.ts'
import { expiryWarning, tlsExpiry } from '../../runtime/tls-pair.ts'
import { readVersion } from '../../runtime/version.ts'
import { isLoopback } from '../../serving/traffic/loopback.ts'
import { bytes } from '../text/human.ts'
import type { Answer } from './check.ts'
import { note, ok, wrong } from './check.ts'

const littleBytes = 100e6
const fewBytes = 1e9

/** A process of an older Node does not come as far as this. */
export function checkVersions(): Answer {
  return ok(`Lockstep ${readVersion()} on Node ${process.versions.node}, ${process.platform} ${process.arch}.`)
}

/** Runs a tiny model. */
export async function checkOnnxRuntime(): Promise<Answer> {
  await initializeOrt()
  return ok('ONNX Runtime runs a model.')
}

interface Port {
  readonly host: string
  readonly port: number
  readonly setting: string
}

/** The ports that a server opens, and that for its metrics, which a worker opens too. */
export async function checkPorts(
  config: Pick<Config, 'host' | 'port' | 'grpcPort' | 'metricsHost' | 'metricsPort' | 'ui'>,
): Promise<Answer[]> {
  const { host, port, grpcPort, metricsHost, metricsPort, ui } = config
  const ports: Port[] = [
    { host, port, setting: 'LOCKSTEP_PORT' },
    ...(grpcPort === null ? [] : [{ host, port: grpcPort, setting: 'LOCKSTEP_GRPC_PORT' }]),
    ...(metricsPort === null ? [] : [{ host: metricsHost, port: metricsPort, setting: 'LOCKSTEP_METRICS_PORT' }]),
    ...(ui.listen === null ? [] : [{ ...ui.listen, setting: 'LOCKSTEP_UI_LISTEN' }]),
  ]
  const addresses = await Promise.all(ports.map(addressOf))
  const answers: Answer[] = []
  for (const [i, each] of ports.entries()) {
    const same = ports
      .slice(0, i)
      .find((other, j) => each.port !== 0 && other.port === each.port && overlap(addresses[i] ?? '', addresses[j] ?? ''))
    answers.push(
      same === undefined
        ? await checkPort(each)
        : wrong(
            `${each.setting} is ${each.port} on ${each.host}, and ${same.setting} is ${same.port} on ${same.host}. Set another port: a server does not start with one port twice.`,
          ),
    )
  }
  return answers
}

/** The address that a server listens on. A name without one stays as it is: the check of its port reports it. */
async function addressOf({ host }: Port): Promise<string> {
  return await lookup(host).then(
    ({ address }) => address,
    () => host,
  )
}

/** Whether one of two addresses is the other one or includes it: `0.0.0.0` is all of IPv4, and `::` all of both. */
function overlap(a: string, b: string): boolean {
  return a === b || [a, b].includes('::') || (a === '0.0.0.0' && isIPv4(b)) || (b === '0.0.0.0' && isIPv4(a))
}

async function checkPort({ host, port, setting }: Port): Promise<Answer> {
  try {
    await tryPort(host, port, setting)
    return ok(`Port ${port} on ${host} is free.`)
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'PORT_IN_USE') return wrong(messageOf(error))
    return note(`Port ${port} on ${host} is in use, perhaps by a Lockstep process. Another one needs a different ${setting}.`)
  }
}

/** Whether servers can start with the TLS files, and clients accept the certificate. */
export function checkTls(files: TlsFiles, nowMs = Date.now()): Answer {
  const expiresAtMs = tlsExpiry(files)
  const warning = expiryWarning(expiresAtMs, nowMs)
  if (warning === null) return ok(`The certificate and its key fit, until ${new Date(expiresAtMs).toISOString().slice(0, 10)}.`)
  return expiresAtMs < nowMs ? wrong(`${warning} Clients refuse it.`) : note(warning)
}

/** @param isSet whether a setting names the folder: then it is meant to be used */
export function checkFiles(config: Pick<Config, 'filesDirectory'>, isSet: boolean): Answer {
  const warning = filesWarning(config)
  if (warning === null) return ok(`"${config.filesDirectory}" can be written.`)
  return isSet ? wrong(warning) : note(warning)
}

/** Whether anyone may do anything. */
export function checkAuth({ auth, host }: Pick<Config, 'auth' | 'host'>): Answer[] {
  if (auth !== 'off' || isLoopback(host)) return []
  return [
    note(
      `API keys are off (LOCKSTEP_AUTH), and other machines reach "${host}": without other protection, anyone there may do anything. Remove LOCKSTEP_AUTH, or set LOCKSTEP_HOST to 127.0.0.1.`,
    ),
  ]
}

/** The space for the embedded database and store, if one is used, and for files if they lie elsewhere. */
export async function checkDisk({ directory, filesDirectory, postgresUrl, redisUrl }: Folders): Promise<Answer[]> {
  const isEmbedded = postgresUrl === null || redisUrl === null
  const isElsewhere = !isEmbedded || !filesDirectory.startsWith(join(directory, sep))
  return await Promise.all([
    ...(isEmbedded ? [spaceOf(directory, 'LOCKSTEP_DIR')] : []),
    ...(isElsewhere ? [spaceOf(filesDirectory, 'LOCKSTEP_FILES_DIR')] : []),
  ])
}

type Folders = Pick<Config, 'directory' | 'filesDirectory' | 'postgresUrl' | 'redisUrl'>

async function spaceOf(folder: string, setting: string): Promise<Answer> {
  let existing = folder
  while (!existsSync(existing)) existing = dirname(existing)
  const { bavail, bsize } = await statfs(existing)
  const free = bavail * bsize
  const text = `${bytes(free)} are free for "${folder}"`
  if (free < littleBytes) return wrong(`Only ${text}. Free some space, or set ${setting} to a folder on another disk.`)
  return free < fewBytes ? note(`Only ${text}.`) : ok(`${text}.`)
}
