import { afterAll, afterEach } from 'vitest'

/** Console output of a test shows a defect of the product or of the test, so it fails the test or its file. */
const lines: string[] = []

for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) {
  console[method] = (...values: unknown[]) => {
    lines.push(`console.${method}: ${values.map(String).join(' ')}`)
  }
}
for (const stream of ['stdout', 'stderr'] as const) {
  process[stream].write = (chunk: Uint8Array | string) => {
    lines.push(`process.${stream}: ${typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()}`)
    return true
  }
}

const expectQuiet = (): void => {
  if (lines.length > 0) throw new Error(`The console must stay quiet, but:\n${lines.splice(0).join('\n')}`)
}
afterEach(expectQuiet)
afterAll(expectQuiet)
