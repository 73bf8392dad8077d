import { promoteModel } from '../../../registry/models/promote.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'

export interface OipWorld extends World {
  /** Of the one server: HTTP, and host and port of gRPC. */
  readonly url: string
  readonly grpc: string
}

/**
 * A server of HTTP and gRPC over the serving definitions. "echo" passes its three features through (version 1, also by
 * the alias "steady"), or casts them to every datatype (version 2); "typed" passes a feature of every type through;
 * "classes" is a classifier; "strict" requires its feature.
 */
export async function createOipWorld(bodyLimitBytes = 100_000): Promise<OipWorld> {
  const world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay, amount, count, city, open, vec) values
      ('ATL', '2001-07-01T11:30:00Z', 25, 0.5, 9007199254740993, 'Atlanta', true, '{3,4}'),
      ('JFK', '2001-07-01T11:00:00Z', -3, null, null, null, null, null)
  `)
  for (const view of ['airport_delays', 'airport_typed', 'airport_required']) await world.materialize(view)
  await world.push('echo', 'identity')
  await world.push('echo', 'casts')
  await promoteModel(world.db, 'echo', 1, { actor: 'tests' }, 'steady')
  await world.push('typed', 'named')
  await world.push('classes', 'logistic')
  await world.push('strict', 'one')
  const { server, url, grpcPort } = await world.serve({ config: { bodyLimitBytes } }, { grpcPort: 0 })
  await server.whenReady()
  return { ...world, url, grpc: `127.0.0.1:${grpcPort}` }
}
