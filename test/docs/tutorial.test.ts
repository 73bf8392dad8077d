import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bareEnvironment } from '../bare-environment.ts'
import type { CommandProcess } from '../cli/one-process.ts'
import { startCommandProcess } from '../cli/one-process.ts'
import type { Running } from '../cli/run-lockstep.ts'
import { killAll, start, whenReady } from '../cli/run-lockstep.ts'
import { rootFolder } from '../source-files.ts'
import { wordsOf } from './documented.ts'
import type { Block } from './fenced-blocks.ts'
import { applyDiff, fencedBlocks, shellCommands, shownPattern } from './fenced-blocks.ts'

// A reader's empty folder beside the clone. Each block of docs/tutorial.md happens in it, in the order of the page:
// files are saved, commands are run, and what a command prints is compared with what the page shows.

const run = promisify(execFile)
/** The ids of training sets that the page shows. */
const shownIds = ['3f0c2a', '9b41d7']

let root: string
let folder: string
/** It ends with each change of the definitions, because a process imports a file once. */
let commands: CommandProcess | null = null
let server: Running | null = null
let url = ''
let printed = ''
let isDev = false
let changedWindows = 0
const ids: string[] = []

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-tutorial-'))
  folder = join(root, 'tutorial')
  await mkdir(join(folder, 'node_modules'), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await symlink(rootFolder, join(root, 'lockstep'))
  await symlink(rootFolder, join(folder, 'node_modules/lockstep'))
})

afterAll(async () => {
  await stopServer()
  await commands?.close()
  killAll()
  await rm(root, { recursive: true, force: true })
})

describe('docs/tutorial.md', () => {
  it('works from an empty folder, block by block', { timeout: 600_000 }, async () => {
    for (const block of fencedBlocks(await readFile(join(rootFolder, 'docs/tutorial.md'), 'utf8'))) await follow(block)
  })
})

async function follow({ language, title, text }: Block): Promise<void> {
  if (language === 'sh') for (const command of shellCommands(text)) printed = await execute(command)
  else if (language === 'ts' && title !== null) await writeFile(join(folder, title), text)
  else if (language === 'diff' && title !== null) {
    await writeFile(join(folder, title), applyDiff(await readFile(join(folder, title), 'utf8'), text))
    // "dev" prints a changed window when it serves it
    if (isDev) await server?.until(new RegExp(`( → [^]*){${++changedWindows}}`))
    await commands?.close()
    commands = null
  } else if (language === 'text' || language === 'json') expect(printed.replaceAll(/\s/g, '')).toMatch(shownPattern(text))
  else expect.fail(`The test does not know what to do with this block:\n${text}`)
}

/** @returns what the command prints on standard output, or on standard error where it fails as the page says */
async function execute(command: string): Promise<string> {
  if (!command.startsWith('lockstep ')) return await shell(command)
  if (command === 'lockstep serve') return await serve('serve')
  // in the working folder of this test it would find other files
  if (command === 'lockstep dev') return await serve('dev', join(folder, 'features.ts'))
  await stopServer() // the embedded database belongs to one process
  const text = shownIds.reduce((sum, shown, i) => sum.replace(shown, ids[i]?.slice(0, 6) ?? shown), command)
  commands ??= startCommandProcess()
  const { exitCode, out, err } = await commands.run({ words: wordsOf(text).slice(1), env: {}, cwd: folder })
  // "plan" exits with 1 where "apply" would refuse the file, as the page shows
  expect(exitCode, `${command}: ${err}`).toBe(out.includes('"apply" would refuse the file') ? 1 : 0)
  const [, id] = /its id ([0-9a-f-]+)\./.exec(out) ?? []
  if (id !== undefined) ids.push(id)
  return out
}

async function shell(command: string): Promise<string> {
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
  const text = command.replaceAll('localhost:8080', url).replace(/^curl /, 'curl --silent --show-error --fail-with-body ')
  return (await run('bash', ['-c', text], { cwd: folder, env: { ...bareEnvironment, PATH: path } })).stdout
}

async function serve(...words: readonly string[]): Promise<string> {
  isDev = words.includes('dev')
  server = start({ LOCKSTEP_DIR: join(folder, '.lockstep') }, ...words, '--port', '0', '--json')
  url = (await server.until(/"url": "(http:[^"]+)"/))[1] ?? ''
  await whenReady(url)
  return ''
}

async function stopServer(): Promise<void> {
  server?.child.kill('SIGINT')
  await server?.ended
  server = null
}
