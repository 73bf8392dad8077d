import type { ServerWritableStream } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import { cutText } from '../../../kernel/values/cut-text.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import type { ServingContext } from '../../context.ts'
import { isReady } from '../oip/describe.ts'

type ServingStatus = 'SERVING' | 'NOT_SERVING'

interface Asked {
  readonly service: string
}

interface Watched {
  readonly status: ServingStatus | 'SERVICE_UNKNOWN'
}

type Watch = ServerWritableStream<Asked, Watched>

export interface Health {
  /** @throws LockstepError `NOT_FOUND` */
  check(service: string): ServingStatus
  /** Sends the status, and again whenever it changes. */
  watch(call: Watch): void
  /** Says NOT_SERVING to all who watch, and ends their calls. */
  close(): void
}

const lookMs = 1000

/**
 * gRPC's health checks, which need no key as `/readyz` needs none: of the server (by the empty name, or the service's),
 * and of each model by its name.
 *
 * @param ours the name of the service
 */
export function createHealth(deps: Pick<ServingContext, 'catalog' | 'models' | 'readiness'>, ours: string): Health {
  const watching = new Map<Watch, Watched['status']>()
  let timer: NodeJS.Timeout | null = null

  /** null: there is no such service. */
  function find(service: string): ServingStatus | null {
    const { ready } = deps.readiness()
    if (service === '' || service === ours) return isReady(deps) ? 'SERVING' : 'NOT_SERVING'
    if (!ready) return 'NOT_SERVING'
    const catalog = deps.catalog()
    const model = catalog.models.get(service)
    if (model === undefined) return null
    const version = deps.models.answering(catalog, model)
    return version !== null && deps.models.failureOf(service, version.version) === undefined ? 'SERVING' : 'NOT_SERVING'
  }

  function report(call: Watch): void {
    const found = find(call.request.service) ?? 'SERVICE_UNKNOWN'
    if (watching.get(call) === found) return
    watching.set(call, found)
    call.write({ status: found })
  }

  function drop(call: Watch): void {
    watching.delete(call)
    if (watching.size > 0 || timer === null) return
    clearInterval(timer)
    timer = null
  }

  return {
    check(service) {
      const found = find(service)
      if (found !== null) return found
      throw new LockstepError(
        'NOT_FOUND',
        `There is no service or model "${cutText(service, 200)}"; send the empty name, "${ours}", or the name of a model.`,
      )
    },
    watch(call) {
      call.once('close', () => drop(call))
      call.once('cancelled', () => drop(call))
      report(call)
      timer ??= setInterval(() => {
        for (const each of watching.keys()) report(each)
      }, lookMs).unref()
    },
    close() {
      for (const [call, last] of watching) {
        if (last !== 'NOT_SERVING') call.write({ status: 'NOT_SERVING' })
        call.emit('error', { code: status.UNAVAILABLE, details: 'The server is shutting down.' })
        drop(call)
      }
    },
  }
}
