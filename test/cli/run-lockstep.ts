import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { bareEnvironment, nodeOptions } from '../bare-environment.ts'
import { rootFolder } from '../source-files.ts'

export type Environment = Readonly<Record<string, string>>

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
  /** Standard output as JSON. */
  readonly json: Printed
}

/** The fields of `--json` output that tests check: each command has some of these. */
export interface Printed {
  readonly migrations: readonly string[]
  readonly problems: readonly { readonly code: string }[]
  readonly views: readonly {
    readonly view: string
    readonly rows: number
    readonly entities: number
    readonly online: boolean
    readonly lastRun: { readonly moment: string }
  }[]
  readonly id: string
  readonly rows: number
  readonly file: { readonly rows: number }
  readonly datasets: readonly { readonly id: string }[]
  readonly versions: readonly unknown[]
  readonly predictions: readonly { readonly predictionId: string }[]
}

/** The fields of a server's answers that tests check. */
export interface ServerAnswer {
  readonly predictions: readonly { readonly probability: number }[]
  readonly features: readonly Readonly<Record<string, unknown>>[]
  readonly results: readonly { readonly features: unknown }[]
}

export interface Running {
  readonly child: ChildProcess
  /** Resolves with standard output or standard error, as soon as its text so far matches. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  readonly ended: Promise<Ended>
}

const living = new Set<ChildProcess>()

/** Call it at the end of a test file, so that processes of a failed test do not outlive the file. */
export function killAll(): void {
  for (const child of living) child.kill('SIGKILL')
}

const main = programFile('cli/main')

/**
 * A file of the program, without its ending: of the bundle that a run of tests makes (test/program.ts), or a source
 * where another program uses these helpers.
 */
export function programFile(name: string): string {
  const program = process.env['LOCKSTEP_TEST_PROGRAM']
  return program === undefined ? join(rootFolder, `${name}.ts`) : join(program, `${name}.js`)
}

export function jsonOf(out: string): Printed {
  const text = out.trim()
  return JSON.parse(/^[[{]/.test(text) ? text : '{}')
}

/** Starts the command line as a separate process, with only these settings. */
export function start(env: Environment, ...words: readonly string[]): Running {
  return startProgram({ main }, env, ...words)
}

/** As `start`, with an installed program, or in another working folder. */
export function startProgram(
  program: { readonly main: string; readonly cwd?: string },
  env: Environment,
  ...words: readonly string[]
): Running {
  const child = spawn(process.execPath, [...nodeOptions, program.main, ...words], {
    cwd: program.cwd,
    env: { ...bareEnvironment, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  living.add(child)
  let [out, err] = ['', '']
  const waiting = new Set<() => void>()
  const note = () => waiting.forEach((check) => check())
  // a part may end within a character
  child.stdout.setEncoding('utf8').on('data', (part: string) => void ((out += part), note()))
  child.stderr.setEncoding('utf8').on('data', (part: string) => void ((err += part), note()))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      living.delete(child)
      resolve({ code, out, err, json: jsonOf(out) })
    })
  })
  return {
    child,
    ended,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const found = pattern.exec(out) ?? pattern.exec(err)
          if (found === null) return
          waiting.delete(check)
          resolve(found)
        }
        waiting.add(check)
        check()
        void ended.then(({ code }) =>
          reject(new Error(`lockstep ${words.join(' ')} ended with ${code} before ${pattern}:\n${out}\n${err}`)),
        )
      }),
  }
}

export async function postJson(url: string, body: unknown): Promise<{ readonly status: number; readonly body: ServerAnswer }> {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  return { status: response.status, body: (await response.json()) as ServerAnswer }
}

/** Waits until a server reports that it is ready. */
export async function whenReady(url: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const response = await fetch(`${url}/readyz`)
    if (response.ok) return
    if (Date.now() > deadline) throw new Error(`not ready: ${await response.text()}`)
  }
}
