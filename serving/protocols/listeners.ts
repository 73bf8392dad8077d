import type { AddressInfo } from 'node:net'
import { announceServer } from '../../runtime/embedded/embedded-owner.ts'
import { listening } from '../../runtime/listen.ts'
import type { TlsPair } from '../../runtime/tls-pair.ts'
import { defaultUi } from '../../runtime/settings/ui-settings.ts'
import type { ServingContext } from '../context.ts'
import { createDashboard } from '../dashboard/dashboard.ts'
import { createUiFolder } from '../dashboard/ui-folder.ts'
import { createDrain } from '../lifecycle/drain.ts'
import type { ListeningAt, ServerOptions } from '../server-options.ts'
import type { GrpcServer } from './grpc/grpc-server.ts'
import { createHttpListener } from './http/app.ts'
import { routes } from './http/routes.ts'
import type { HttpServer } from './http/http-server.ts'
import { createHttpServer } from './http/http-server.ts'

/** The ports of a server: HTTP with the dashboard, or the dashboard on its own, and gRPC. */
export interface Listeners {
  /** @throws LockstepError `PORT_IN_USE` */
  listen(host: string, port: number, grpcPort?: number): Promise<ListeningAt>
  /** Each ends the connections of one protocol, within milliseconds. */
  readonly drains: readonly ((ms: number) => Promise<void>)[]
}

export interface ListenerOptions extends Pick<ServerOptions, 'config' | 'lead' | 'uiFolder' | 'embeddedDirectory'> {
  readonly tls: TlsPair | null
  /** How long a client may take to send the head of a request, and all of it. */
  readonly headMs: number
  readonly requestMs: number
}

export function createListeners(context: ServingContext, options: ListenerOptions): Listeners {
  const { config, tls, headMs, requestMs, lead = true, uiFolder = createUiFolder(), embeddedDirectory = null } = options
  const ui = config.ui ?? defaultUi
  const dashboard = createDashboard({ settings: ui, keys: context.traffic.keys, folder: uiFolder, directory: embeddedDirectory })
  const { before } = dashboard
  const shared = ui.listen === null ? { routes: [...routes, ...dashboard.routes], before } : {}
  const http = createHttpServer(createHttpListener(context, shared), { headMs, requestMs, tls })
  const apart =
    ui.listen === null || ui.mode === 'off' || !lead
      ? null
      : createHttpServer(createHttpListener(context, { routes: dashboard.routes, before }), { headMs, requestMs, tls })
  let grpc: GrpcServer | null = null

  /** Only servers that answer gRPC load its library. */
  async function listenGrpc(host: string, port: number): Promise<number> {
    const { createGrpcServer } = await import('./grpc/grpc-server.ts')
    const { grpcMaxStreams: maxStreams, grpcMaxConnections: maxConnections } = config
    grpc = createGrpcServer(context, { firstCallMs: headMs, requestMs, tls, maxStreams, maxConnections })
    return await grpc.listen(host, port)
  }

  function urlOf(host: string, server: HttpServer): string {
    const { port } = server.address() as AddressInfo
    return `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
  }

  return {
    async listen(host, port, grpcPort) {
      dashboard.listensOn(ui.listen?.host ?? host)
      if (apart !== null && ui.listen !== null) await listening(apart, ui.listen.host, ui.listen.port, 'LOCKSTEP_UI_LISTEN')
      await listening(http, host, port)
      const boundGrpcPort = grpcPort === undefined ? null : await listenGrpc(host, grpcPort)
      const url = urlOf(host, http)
      if (embeddedDirectory !== null) {
        announceServer(embeddedDirectory, url)
        dashboard.takesCommandsAt(apart === null ? (ui.publicUrl?.origin ?? url) : url)
      }
      const ownUi = apart === null || ui.listen === null ? url : urlOf(ui.listen.host, apart)
      const uiUrl = dashboard.isOn ? `${ui.publicUrl?.origin ?? ownUi}/ui/` : null
      // a clone builds the pages in the meantime; a page that is asked for says what went wrong
      if (dashboard.isOn && lead) void options.uiFolder?.().catch(() => undefined)
      return { host, port: (http.address() as AddressInfo).port, url, uiUrl, grpcPort: boundGrpcPort }
    },
    drains: [createDrain(http), ...(apart === null ? [] : [createDrain(apart)]), async (ms) => await grpc?.close(ms)],
  }
}
