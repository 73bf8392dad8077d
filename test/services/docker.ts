import { access } from 'node:fs/promises'
import { request } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Service } from './keeper.ts'

export interface Image {
  readonly name: string
  readonly port: number
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** The log line that shows that it answers, and how often the line appears. */
  readonly ready: readonly [line: RegExp, times: number]
  url(host: string, port: number): string
}

/** Starts a container through testcontainers, whose own watcher removes it when this process ends. */
export async function startContainer(image: Image): Promise<Service> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const container = await new GenericContainer(image.name)
    .withExposedPorts(image.port)
    .withEnvironment({ ...image.environment })
    .withCommand([...image.command])
    .withWaitStrategy(Wait.forLogMessage(...image.ready))
    .start()
  return {
    url: image.url(container.getHost(), container.getMappedPort(image.port)),
    stop: async () => void (await container.stop()),
  }
}

/** @throws within a second where no Docker daemon answers */
export async function requireDocker(): Promise<void> {
  const host = process.env['DOCKER_HOST']
  if (host !== undefined && host !== '') {
    const url = new URL(host)
    return ping(url.protocol === 'unix:' ? { socketPath: url.pathname } : { host: url.hostname, port: url.port })
  }
  for (const socketPath of ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock')]) {
    const found = await access(socketPath).then(
      () => true,
      () => false,
    )
    if (found) return ping({ socketPath })
  }
  throw new Error('no Docker socket was found')
}

function ping(where: { socketPath: string } | { host: string; port: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...where, path: '/_ping', timeout: 1000 }, (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`the Docker daemon answered ${response.statusCode}`))
    })
    sent.on('timeout', () => sent.destroy(new Error('the Docker daemon did not answer within 1 s')))
    sent.on('error', reject)
    sent.end()
  })
}
