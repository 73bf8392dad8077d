import { pathToFileURL } from 'node:url'
import type { run as runCommand } from '../../cli/run.ts'

// The command line as a long-lived process: it receives command lines, runs each as bin/lockstep does, and sends back
// the outcome. Its argument is the file of `run`.

export interface CommandLine {
  readonly words: readonly string[]
  /** Environment variables for this command only. */
  readonly env: Readonly<Record<string, string>>
  /** The working directory. Absent: the one in which this process was started. */
  readonly cwd?: string | undefined
}

export interface Ran {
  readonly exitCode: number
  readonly out: string
  readonly err: string
}

const written = { stdout: '', stderr: '' }
for (const stream of ['stdout', 'stderr'] as const) {
  process[stream].write = (chunk: Uint8Array | string) => {
    written[stream] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()
    return true
  }
}

// not awaited: a message finds a listener at once
const program: Promise<{ readonly run: typeof runCommand }> = import(pathToFileURL(process.argv[2] ?? '').href)
const own = { ...process.env }
const home = process.cwd()
process.on('message', ({ words, env, cwd = home }: CommandLine) => {
  process.chdir(cwd)
  Object.assign(process.env, env)
  void program.then(async ({ run }) => {
    const exitCode = await run(words, new AbortController().signal)
    const ran: Ran = { exitCode, out: written.stdout, err: written.stderr }
    written.stdout = ''
    written.stderr = ''
    for (const name of Object.keys(env)) delete process.env[name]
    Object.assign(process.env, own)
    return process.send?.(ran)
  })
})
