import type { ChildProcess, StdioOptions } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What a process that loads models inherits: nothing that opens a store. */
const inherited = ['PATH', 'HOME', 'LD_LIBRARY_PATH', 'NODE_COMPILE_CACHE', 'NODE_DISABLE_COMPILE_CACHE'] as const
const shell = '/bin/sh'
/** Node and ONNX Runtime take 0.6 GB of it themselves, most of which they never touch. */
const minMegabytes = 1536

/**
 * Starts a process that loads ONNX files, which are foreign bytes to native code. It has an environment of its own,
 * lies in a folder that holds code alone, since a file may name others by a relative path, and may have half of the
 * memory that this process may: an allocation beyond it fails, and with it the run. Where memory is short all the same,
 * Linux ends it first. Without a shell it has no such limit.
 *
 * Its JavaScript may start no processes and write no files (Node's `--permission`); that does not bind native code.
 *
 * @param script beside this file, without its ending
 */
export function spawnModelProcess(script: string, stdio: StdioOptions): ChildProcess {
  const path = fileURLToPath(new URL(`./${script}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))
  const env: Record<string, string> = { TZ: 'UTC', ORT_DISABLE_TELEMETRY: '1' }
  for (const name of inherited) {
    const value = process.env[name]
    if (value !== undefined) env[name] = value
  }
  const options = { stdio, env, cwd: dirname(path) }
  const run = [process.execPath, ...permissions(env['NODE_COMPILE_CACHE']), path]
  if (!existsSync(shell)) return spawn(process.execPath, run.slice(1), options)
  const kilobytes = String(memoryMegabytes() * 1024)
  return spawn(shell, ['-c', limited, shell, kilobytes, ...run], options)
}

/** ONNX Runtime is an addon, a thread ends the process with its parent, and Node keeps compiled code in a folder. */
function permissions(compileCache: string | undefined): string[] {
  const written = compileCache === undefined ? [] : [`--allow-fs-write=${compileCache}`]
  return ['--permission', '--allow-addons', '--allow-worker', '--allow-fs-read=*', ...written]
}

/** It becomes the process, so that its id and its end are the process's. */
const limited = 'ulimit -d "$1" 2>/dev/null; { echo 500 >/proc/$$/oom_score_adj; } 2>/dev/null; shift; exec "$@"'

function memoryMegabytes(): number {
  const bytes = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
  return Math.max(minMegabytes, Math.floor(bytes / 2 ** 21))
}
