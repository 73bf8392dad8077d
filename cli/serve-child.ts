import { loadSettings } from '../runtime/config.ts'
import { asJson } from '../runtime/workers/merge-metrics.ts'
import type { PoolWorker } from '../runtime/workers/worker.ts'
import { joinPool } from '../runtime/workers/worker.ts'
import { onUnavailable } from '../serving/features/fallback-policy.ts'
import type { Context } from './context.ts'
import { createContext } from './context.ts'
import { createInterrupt, serverPatienceMs, untilAborted } from './interrupt.ts'
import { startServer } from './start-server.ts'
import { createTerminal } from './terminal.ts'
import { withContext } from './with-context.ts'

// A worker of `lockstep serve --workers`. It answers requests until its pool, or a signal, ends it.
const interrupt = createInterrupt(serverPatienceMs)
const member = joinPool()
const signal = AbortSignal.any([interrupt.signal, member.signal])
try {
  const { config } = await loadSettings()
  const context = createContext(config, createTerminal(false), signal)
  await withContext(context, () => serve(context, member))
  process.exit(0)
} catch (error) {
  if (!signal.aborted) await member.fails(error)
  process.exit(signal.aborted ? 0 : 1)
}

async function serve(context: Context, pool: PoolWorker): Promise<void> {
  const { host, port, grpcPort, asOf, onUnavailable: wanted, lead, warmMs } = await pool.task
  const policy = onUnavailable.find((known) => known === wanted)
  const { server, metrics } = await startServer(context, {
    lead,
    warmMs,
    ...(asOf === null ? {} : { defaultAsOf: asOf }),
    ...(policy === undefined ? {} : { onUnavailable: policy }),
    status: (own) => ({
      readiness: async () => (await pool.status())?.readiness ?? (await own.readiness()),
      metrics: async () => (await pool.status())?.metrics ?? (await own.metrics()),
    }),
  })
  pool.reports(async () => ({ ...server.readiness(), metrics: asJson(await metrics.getMetricsAsJSON()) }))
  pool.listens(await server.listen(host, port, grpcPort ?? undefined))
  await untilAborted(signal)
  await server.close()
}
