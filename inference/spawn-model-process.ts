import type { ChildProcess, StdioOptions } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Environment variables that a model process inherits. None of them gives access to a store. */
const inherited = ['PATH', 'HOME', 'LD_LIBRARY_PATH', 'NODE_COMPILE_CACHE', 'NODE_DISABLE_COMPILE_CACHE'] as const
const shell = '/bin/sh'
/** Node and ONNX Runtime reserve 0.6 GB of it, most of which they never use. */
const minMegabytes = 1536

/**
 * Starts a process that loads ONNX files, which are foreign bytes parsed by native code. The process is restricted: -
 * It has its own environment. - Its working directory contains only code, since a model may name other files by
 * relative paths. - It may use half of this process's memory; an allocation beyond that fails, and so does the run. If
 * memory is still short, Linux kills it first. Without `/bin/sh` there is no memory limit.
 *
 * Its JavaScript may not start processes or write files (Node's `--permission`). Native code is not bound by that.
 *
 * @param script a file in this folder, without its extension
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

/** ONNX Runtime is an addon, `orphan-worker` is a thread, and Node caches compiled code in a folder. */
function permissions(compileCache: string | undefined): string[] {
  const written = compileCache === undefined ? [] : [`--allow-fs-write=${compileCache}`]
  return ['--permission', '--allow-addons', '--allow-worker', '--allow-fs-read=*', ...written]
}

/** `exec` replaces the shell, so that the child's pid and exit are those of the process. */
const limited = 'ulimit -d "$1" 2>/dev/null; { echo 500 >/proc/$$/oom_score_adj; } 2>/dev/null; shift; exec "$@"'

function memoryMegabytes(): number {
  const bytes = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
  return Math.max(minMegabytes, Math.floor(bytes / 2 ** 21))
}
