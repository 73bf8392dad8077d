import { spawn } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { formatDuration } from '../kernel/values/duration.ts'
import { readVariable } from '../runtime/config.ts'
import { createTail } from './tail.ts'

export interface TrainerRun {
  /** The path of the program. */
  readonly path: string
  readonly args: readonly string[]
  /** Its variables, beside those that every program needs. */
  readonly env: Readonly<Record<string, string>>
  /** Its working directory. */
  readonly cwd: string
  readonly timeoutMicros: number
}

export interface TrainerOutput {
  /** The last line of its standard output that is not empty. */
  readonly lastLine: string
  /** The end of what it wrote to both its outputs. */
  readonly log: string
}

/** The variables that the trainer inherits from this process. None of them gives access to a store. */
const inherited = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'LD_LIBRARY_PATH', 'TMPDIR'] as const
const maxLogCharacters = 16_384
const maxLineCharacters = 262_144
/** How long it has after SIGTERM. */
const graceMs = 5_000
/** How long its outputs are read after its end. */
const drainMs = 5_000

/**
 * Runs a program in a process group of its own. When this process dies, its pipe to the shell is closed, and the shell
 * ends the group: no trainer outlives its worker. On SIGTERM the shell waits for the program.
 */
const guarded = `trap : TERM
exec 3<&0 </dev/null
{ trap '' TERM; cat <&3; kill -KILL 0; } >/dev/null 2>&1 &
exec 3<&-
"$@"`

/**
 * Runs a trainer until it ends. All its processes are ended with it, at the time limit, and at the abort.
 *
 * @throws LockstepError `TRAINER_FAILED`, with the end of its log; the signal's reason
 */
export async function runTrainer({ path, args, env, cwd, timeoutMicros }: TrainerRun, signal: AbortSignal): Promise<TrainerOutput> {
  signal.throwIfAborted()
  const child = started({ path, args, cwd, env })
  const log = createTail(maxLogCharacters)
  const output = createTail(maxLineCharacters)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    log.add(text)
    output.add(text)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => log.add(text))
  // it may end before it has read anything
  child.stdin.on('error', () => undefined)
  const ended = new Promise<{ readonly code: number | null; readonly why: string | null }>((resolve) => {
    child.on('error', (error) => resolve({ code: null, why: messageOf(error) }))
    child.on('exit', (code, killed) => resolve({ code, why: killed === null ? null : `it was ended by ${killed}` }))
  })
  const closed = new Promise((resolve) => child.on('close', resolve))
  const group = (name: 'SIGTERM' | 'SIGKILL'): void => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, name)
    } catch {
      // it has ended
    }
  }
  const [limit, drained] = [new AbortController(), new AbortController()]
  const timer = globalThis.setTimeout(() => limit.abort(), Math.min(timeoutMicros / 1000, 2 ** 31 - 1))
  const stop = AbortSignal.any([signal, limit.signal])
  const aborted = new Promise<null>((resolve) => {
    stop.addEventListener('abort', () => resolve(null), { once: true })
    if (stop.aborted) resolve(null)
  })
  try {
    const end = await Promise.race([ended, aborted])
    if (end === null) {
      group('SIGTERM')
      await Promise.race([ended, setTimeout(graceMs)])
    }
    group('SIGKILL')
    // a process that has left the group may hold the outputs open
    if (child.pid !== undefined)
      await Promise.race([closed, setTimeout(drainMs, undefined, { signal: drained.signal }).catch(() => undefined)])
    signal.throwIfAborted()
    const what = end === null ? `did not end within ${formatDuration(timeoutMicros)}, and was ended` : failure(end)
    if (what !== null) throw trainerFailed(what, log.text())
    return { lastLine: output.text().trimEnd().split('\n').at(-1) ?? '', log: log.text() }
  } finally {
    clearTimeout(timer)
    limit.abort()
    drained.abort()
    child.stdout.destroy()
    child.stderr.destroy()
  }
}

function started({ path, args, cwd, env }: Omit<TrainerRun, 'timeoutMicros'>) {
  try {
    return spawn('/bin/sh', ['-c', guarded, 'sh', path, ...args], {
      cwd,
      env: { ...inheritedVariables(), TZ: 'UTC', ...env },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  } catch (error) {
    const [name, value] = Object.entries(env).toSorted(([, a], [, b]) => b.length - a.length)[0] ?? ['', '']
    const why = `${messageOf(error)}. Its longest variable, "${name}", has ${value.length} characters; systems allow about 130,000`
    throw trainerFailed(`could not be started: ${why}`, '')
  }
}

function failure({ code, why }: { readonly code: number | null; readonly why: string | null }): string | null {
  if (why !== null) return `could not run to its end: ${why}`
  if (code === 0) return null
  if (code === 126 || code === 127) return `exited with ${code}: this machine may lack it, or the program that its first line names`
  // as shells say it
  return code !== null && code > 128 ? `was ended by the signal ${code - 128}` : `exited with ${code}`
}

/** @param what what it did: `exited with 1` */
export function trainerFailed(what: string, log: string): LockstepError {
  const lines = log.trimEnd().split('\n')
  const last = lines.at(-1)?.trim() ?? ''
  const error = errorOfNode(lines)
  const said =
    last === '' ? 'It wrote nothing.' : error === null ? `Its last line: ${last.slice(0, 500)}` : `Its error: ${error.slice(0, 500)}`
  return new LockstepError('TRAINER_FAILED', `The trainer ${what}. ${said}`, { details: { log } })
}

/**
 * The line that names what was thrown and not caught. Node prints the place with a caret below it, the error with its
 * stack, and then the version of Node. What is no error has no stack.
 */
function errorOfNode(lines: readonly string[]): string | null {
  if (!/^Node\.js v\d/.test(lines.at(-1) ?? '')) return null
  const stack = lines.findLastIndex((line) => /^\s+at /.test(line))
  const error = lines.slice(0, Math.max(stack, 0)).findLast((line) => /^(?:Uncaught )?[\w$.]*(?:Error|Exception)\b/.test(line))
  if (error !== undefined) return error
  const caret = lines.findLastIndex((line) => /^\s*\^+\s*$/.test(line))
  return caret === -1 ? null : (lines.slice(caret + 1, -1).find((line) => line.trim() !== '') ?? null)
}

function inheritedVariables(): Record<string, string> {
  return Object.fromEntries(
    inherited.flatMap((name) => {
      const value = readVariable(name)
      return value === null ? [] : [[name, value]]
    }),
  )
}
