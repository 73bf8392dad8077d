import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream'
import { orTimeout, timedOut } from '../async.ts'

/**
 * The request for messages that is under way. It outlives a call of `take`, which does not wait for all that it asked
 * for.
 */
export interface NatsPull {
  /**
   * The next message, or null once `until` has passed (`performance.now()`).
   *
   * @param begin begins a request. Called if none is under way
   */
  next(begin: () => Promise<ConsumerMessages>, until: number): Promise<JsMsg | null>
  /** Ends a request that is older than this, milliseconds. */
  endAfter(ms: number): void
  /** Drops a request that has failed. */
  forget(): void
  /** Ends the request. What has come and was not taken goes to others at once. */
  giveBack(until: number): Promise<void>
}

interface Request {
  readonly messages: ConsumerMessages
  readonly iterator: AsyncIterator<JsMsg, unknown>
  readonly begunMs: number
  /** Undefined: nobody has asked for it yet. */
  upcoming?: Promise<JsMsg | null> | undefined
}

export function createNatsPull(): NatsPull {
  let request: Request | null = null

  /** Null: the request has ended. */
  async function nextOf(from: Request, until: number): Promise<JsMsg | null | typeof timedOut> {
    from.upcoming ??= from.iterator.next().then(({ done, value }) => (done === true ? null : value))
    const come = await orTimeout(from.upcoming, until - performance.now())
    if (come !== timedOut) from.upcoming = undefined
    return come
  }

  return {
    async next(begin, until) {
      for (;;) {
        request ??= begun(await begin())
        const come = await nextOf(request, until)
        if (come === timedOut) return null
        if (come !== null) return come
        request = null
      }
    },
    endAfter(ms) {
      if (request === null || performance.now() <= request.begunMs + ms) return
      request.messages.stop()
      request = null
    },
    forget() {
      request = null
    },
    async giveBack(until) {
      if (request === null) return
      request.messages.stop()
      for (;;) {
        const come = await nextOf(request, until).catch(() => null)
        if (come === null || come === timedOut) return
        come.nak()
      }
    },
  }
}

function begun(messages: ConsumerMessages): Request {
  return { messages, iterator: messages[Symbol.asyncIterator](), begunMs: performance.now() }
}
