import type { PostgresTarget } from './postgres-target.ts'

/**
 * The servers that a URL names: a primary and its standbys. New connections lead to one of them, the last that worked.
 * One that cannot be used, or accepts no writes, is left for the next.
 */
export interface PostgresServers {
  readonly count: number
  /** The index of the one that new connections lead to. */
  readonly at: number
  /** Its URL. */
  readonly url: string
  /** `host:port` */
  name(at: number): string
  /** Leaves a server for the next, unless another connection has left it already. */
  leave(at: number): void
}

export function createPostgresServers({ urls, names }: Pick<PostgresTarget, 'urls' | 'names'>): PostgresServers {
  let at = 0
  return {
    count: urls.length,
    get at() {
      return at
    },
    get url() {
      return urls[at] ?? ''
    },
    name: (index) => names[index] ?? '',
    leave(index) {
      if (index === at) at = (at + 1) % urls.length
    },
  }
}
