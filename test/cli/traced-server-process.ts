import { createRequire } from 'node:module'
import { createContext } from '../../cli/context.ts'
import { startServer } from '../../cli/start-server.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { loadConfig } from '../../runtime/config.ts'

// Serves one request and prints how many modules of OpenTelemetry this process has loaded by then. prom-client loads
// its API package, which does nothing without an SDK.
const context = createContext(loadConfig(), createTerminal(true), new AbortController().signal)
const { server } = await startServer(context, {})
const { url } = await server.listen('127.0.0.1', 0)
const { status } = await fetch(`${url}/v1/features`, { method: 'POST', body: '{}' })
const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => /@opentelemetry\/(?!api\/)/.test(path))
process.stdout.write(JSON.stringify({ status, loaded: loaded.length }))
await context.close()
process.exit(0)
