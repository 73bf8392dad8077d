import { afterEach } from 'vitest'

/** What a test leaves on the console is a defect of the product or of the test: it fails the test. */
const lines: string[] = []

for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) {
  console[method] = (...values: unknown[]) => {
    lines.push(`console.${method}: ${values.map(String).join(' ')}`)
  }
}

afterEach(() => {
  if (lines.length === 0) return
  const said = lines.splice(0).join('\n')
  throw new Error(`The console must stay quiet, but:\n${said}`)
})
