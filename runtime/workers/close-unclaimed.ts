import type { Worker } from 'node:cluster'

/** How Node's cluster hands a connection to a worker, and what the worker says once it has it. */
interface ClusterMessage {
  readonly cmd?: string
  readonly act?: string
  readonly seq?: number
  readonly ack?: number
}

/**
 * Closes the connections that a worker was handed and had not taken when it died. Node's cluster forgets those: this process holds them open, nobody answers,
 * and their callers wait until they give up.
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
