import type { Service } from './keeper.ts'

/** One way to get a service: starts `count` servers, or reports in an error why it cannot. */
export interface Way {
  /** How the reader of the error can make this way work. */
  readonly advice: string
  start(count: number): Promise<Service[]>
}

/**
 * Uses the first way that works.
 *
 * @throws one error that lists every way and why it did not work
 */
export async function firstThatWorks(service: string, ways: readonly Way[], count: number): Promise<Service[]> {
  const refusals: string[] = []
  for (const way of ways) {
    try {
      return await way.start(count)
    } catch (error) {
      refusals.push(`  - ${way.advice}\n    (${error instanceof Error ? error.message : String(error)})`)
    }
  }
  throw new Error(`The tests need ${service}, and none was found. Any one of these ways will do:\n${refusals.join('\n')}`)
}

/** Starts several at once; if one fails, stops the others. */
export async function startAll(count: number, start: () => Promise<Service>): Promise<Service[]> {
  const results = await Promise.allSettled(Array.from({ length: count }, start))
  const services = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  for (const result of results) {
    if (result.status === 'fulfilled') continue
    await Promise.all(services.map((service) => service.stop()))
    throw result.reason
  }
  return services
}

/** A server that is already running, at the URL in an environment variable. */
export function givenUrl(variable: string): Way {
  return {
    advice: `Set ${variable} to the URL of a server that the tests may use.`,
    async start() {
      const url = process.env[variable]
      if (url === undefined || url === '') throw new Error('it is not set')
      return [{ url, stop: async () => undefined }]
    },
  }
}
