import { joinPool } from '../../../runtime/workers/worker.ts'

// A worker that reports its state until it is stopped from outside.
const pool = joinPool()
const { host, port, grpcPort } = await pool.task
pool.reports(async () => ({ ready: true, reasons: [], warnings: [], failing: [], degraded: [], metrics: [] }))
pool.listens({ host, port, grpcPort, url: `pid:${process.pid}` })
pool.signal.addEventListener('abort', () => process.exit(0))
