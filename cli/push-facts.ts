import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { LockstepError, messageOf } from '../kernel/errors.ts'

/**
 * Reads `auc=0.71`, given once for each metric.
 *
 * @throws LockstepError `USAGE` where a value is not a number, or a metric is given twice
 */
export function metricsOf(pairs: readonly string[]): Record<string, number> {
  return read('metric', pairs, 'auc=0.71', (text) => {
    const number = text.trim() === '' ? Number.NaN : Number(text)
    return Number.isFinite(number) ? number : undefined
  })
}

/** Reads `depth=3`, given once for each parameter. A value that is valid JSON is JSON, otherwise text. */
export function paramsOf(pairs: readonly string[]): Record<string, unknown> {
  return read<unknown>('param', pairs, 'depth=3', (text) => {
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  })
}

function read<T>(option: string, pairs: readonly string[], example: string, valueOf: (text: string) => T | undefined): Record<string, T> {
  const values = new Map<string, T>()
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, Math.max(0, at)).trim()
    const value = name === '' ? undefined : valueOf(pair.slice(at + 1))
    const what = option === 'metric' ? 'a name and a number' : 'a name and a value'
    if (value === undefined) throw new LockstepError('USAGE', `The option "--${option}" is "${pair}"; write ${what}, such as ${example}.`)
    if (values.has(name)) throw new LockstepError('USAGE', `The option "--${option}" gives "${name}" twice; give it once.`)
    values.set(name, value)
  }
  return Object.fromEntries(values)
}

/**
 * An object, given as JSON or as the name of a JSON file.
 *
 * @throws LockstepError `USAGE`, `FILE_UNREADABLE`
 */
export async function metadataOf(given: string): Promise<Record<string, unknown>> {
  const isFile = !given.trimStart().startsWith('{')
  const text = isFile ? await fileText(given) : given
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // reported below
  }
  const what = isFile ? `names the file "${given}", which holds` : `is "${given}", which is`
  throw new LockstepError('USAGE', `The option "--metadata" ${what} no JSON object; write it as '{"auc": 0.7}'.`)
}

async function fileText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new LockstepError(
      'FILE_UNREADABLE',
      `The option "--metadata" is "${path}", which is neither a JSON object nor a file that can be read: ${messageOf(cause)}.`,
      { cause, details: { path } },
    )
  }
}

/**
 * The commit that is checked out in the folder, with `-dirty` where files differ from it.
 *
 * @throws LockstepError `USAGE` if the folder is not in a git repository
 */
export async function checkedOutCommit(cwd: string): Promise<string> {
  const git = promisify(execFile)
  try {
    const commit = (await git('git', ['rev-parse', '--verify', 'HEAD'], { cwd })).stdout.trim()
    const { stdout: changes } = await git('git', ['status', '--porcelain', '--untracked-files=no'], { cwd })
    return changes.trim() === '' ? commit : `${commit}-dirty`
  } catch (cause) {
    // git writes several lines, one of which is the reason
    const text = messageOf(cause)
    const reason = /^fatal: (.*)$/m.exec(text)?.[1] ?? text.trim()
    throw new LockstepError(
      'USAGE',
      `The option "--git-commit" is "auto", but git finds no commit in "${cwd}" (${reason}). Run the command in the repository of the training code, or give the commit (--git-commit SHA).`,
      { cause },
    )
  }
}
