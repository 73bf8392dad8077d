import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { counted } from '../text/human.ts'

/** Checks the types of a project beside what is served, because Node runs TypeScript without a check. */
export interface TypeCheck {
  /** Checks the files as they are now. A check that is under way is given up. Does nothing without a compiler. */
  begin(): void
  close(): Promise<void>
}

const maxShown = 5

/** Whether a project has a `tsconfig.json`, and no compiler that it could be used with. */
export function lacksCompiler(folder: string): boolean {
  return existsSync(join(folder, 'tsconfig.json')) && !existsSync(compilerOf(folder))
}

function compilerOf(folder: string): string {
  return join(folder, 'node_modules/typescript/bin/tsc')
}

/**
 * Runs the project's own compiler, if it has one and a `tsconfig.json`.
 *
 * @param say called with the errors if they are others than before, and once there are none any more
 */
export function createTypeCheck(folder: string, say: (text: string) => void): TypeCheck {
  const compiler = compilerOf(folder)
  let running: ChildProcess | null = null
  let said = ''

  async function check(): Promise<void> {
    const args = [compiler, '--noEmit', '--pretty', 'false', '-p', folder]
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] })
    running = child
    let out = ''
    child.stdout.on('data', (part: Buffer) => (out += part.toString()))
    await once(child, 'close').catch(() => undefined)
    if (running !== child) return
    running = null
    const text = textOf(out, folder)
    if (text !== said) say(text === '' ? 'The types are right again.' : text)
    said = text
  }

  return {
    begin() {
      if (!existsSync(compiler) || !existsSync(join(folder, 'tsconfig.json'))) return
      running?.kill()
      void check()
    },
    async close() {
      const child = running
      running = null
      if (child === null || child.exitCode !== null) return
      child.kill()
      await once(child, 'close')
    },
  }
}

/** The errors of the project's own files in a compiler's output, as `type error features.ts:12: …`. */
function textOf(out: string, folder: string): string {
  const found = [...out.matchAll(/^(.+?)\((\d+),\d+\): error (TS\d+: .+)$/gm)].flatMap(([, path = '', line, message]) => {
    const file = relative(folder, resolve(folder, path))
    // what others have written is not the user's to correct
    return /^(\.\.|node_modules)[\\/]/.test(file) ? [] : [`type error ${file}:${line}: ${message}`]
  })
  const more = found.length - maxShown
  return [...found.slice(0, maxShown), ...(more > 0 ? [`and ${counted(more, 'more type error')}`] : [])].join('\n')
}
