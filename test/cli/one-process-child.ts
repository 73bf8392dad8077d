import { run } from '../../cli/run.ts'

// The command line as a process that stays: it is sent the words of a command, runs them as bin/lockstep does, and sends back what came of it.

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

process.on('message', (words: readonly string[]) => {
  void run(words, new AbortController().signal).then((exitCode) => {
    const ran: Ran = { exitCode, out: written.stdout, err: written.stderr }
    written.stdout = ''
    written.stderr = ''
    return process.send?.(ran)
  })
})
