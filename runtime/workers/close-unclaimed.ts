import type { Worker } from 'node:cluster'

/** The internal messages with which Node's cluster hands a connection to a worker and the worker confirms it. */
interface ClusterMessage {
  readonly cmd?: string
  readonly act?: string
  readonly seq?: number
  readonly ack?: number
}

/**
 * Closes connections that were handed to a worker that died before it accepted them. Node's cluster leaves them open in
 * this process, so their clients would wait until they time out.
 */
export function closeUnclaimed({ process: child }: Worker): void {
  const unclaimed = new Map<number, { close(): void }>()
  const send = child.send.bind(child) as (...args: readonly unknown[]) => boolean
  child.send = (...args: readonly unknown[]) => {
    const [message, handle] = args as [ClusterMessage, { close(): void } | undefined]
    if (message.cmd === 'NODE_CLUSTER' && message.act === 'newconn' && message.seq !== undefined && handle !== undefined) {
      unclaimed.set(message.seq, handle)
    }
    return send(...args)
  }
  child.on('internalMessage', ({ ack }: ClusterMessage) => {
    if (ack !== undefined) unclaimed.delete(ack)
  })
  child.once('exit', () => {
    for (const handle of unclaimed.values()) handle.close()
    unclaimed.clear()
  })
}
