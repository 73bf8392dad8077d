import type { Browser } from 'playwright-core'
import { issueCode } from '../../registry/keys/dashboard-sessions.ts'
import type { ServerOptions } from '../../serving/server-options.ts'
import { startBrowser } from '../services/browser.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'
import type { Visits } from './visits.ts'
import { visit } from './visits.ts'

export interface OpenedDashboard {
  /** It has materialized views and one version of the model `delay`. */
  readonly world: World
  /** Signed in. */
  readonly visits: Visits
  close(): Promise<void>
}

/** @param prepare what happens in the world before its server starts; it may give options of the server */
export async function openDashboard(prepare?: (world: World) => Promise<Partial<ServerOptions> | undefined>): Promise<OpenedDashboard> {
  let browser: Browser | undefined
  let world: World | undefined
  let visits: Visits | undefined
  async function close(): Promise<void> {
    await visits?.close()
    await browser?.close()
    await world?.close()
  }
  try {
    browser = await startBrowser()
    world = await createWorld('embedded')
    for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
    await world.push('delay', 'logistic')
    const { server, url } = await world.serve(await prepare?.(world))
    await server.whenReady()
    visits = await visit(browser, url)
    await visits.go(`#code=${await issueCode(world.db, 'ann@laptop', 3600)}`)
    return { world, visits, close }
  } catch (error) {
    await close()
    throw error
  }
}
