import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bashCompletion } from '../../cli/completion/bash.ts'
import { completedCommand } from '../../cli/completion/completed-command.ts'
import { fishCompletion } from '../../cli/completion/fish.ts'
import { zshCompletion } from '../../cli/completion/zsh.ts'
import { commands } from '../../cli/commands.ts'
import { aptInstall, run } from '../services/binaries.ts'
import { lockstep } from './lockstep.ts'

const all = (await Promise.all(commands.map((entry) => entry.load()))).map(completedCommand)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-completion-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs a script by a shell that Debian has, installed if it is missing. */
async function runBy(shell: string, args: readonly string[], files: Readonly<Record<string, string>>): Promise<string> {
  if (!['/usr/bin', '/bin', '/usr/local/bin', '/opt/homebrew/bin'].some((place) => existsSync(join(place, shell)))) await aptInstall(shell)
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return (await run(shell, [...args], { cwd: folder, env: { ...process.env, HOME: folder, TERM: 'dumb' } })).stdout
}

/** Words that are typed, the last one incomplete, and what is offered for it. */
const cases: readonly (readonly [typed: string, offered: readonly string[]])[] = [
  ['lockstep comp', ['completion']],
  ['lockstep dataset ', ['create', 'delete', 'list', 'register', 'show', 'verify']],
  ['lockstep dataset cr', ['create']],
  ['lockstep --json comp', ['completion']],
  ['lockstep --json dataset cr', ['create']],
  ['lockstep ingest und', ['undo']],
  ['lockstep dataset create flights --form', ['--format']],
  ['lockstep dataset create flights --format p', ['parquet']],
  ['lockstep serve --on-unavailable ', ['defaults', 'error', 'stale']],
  ['lockstep init --template m', ['minimal']],
]

describe('the completion of a shell', { timeout: 400_000 }, () => {
  it('offers commands, options and values in bash', async () => {
    const asked = cases.map(([typed]) => {
      const words = typed.split(' ')
      const list = words.map((word) => `'${word}'`).join(' ')
      return `COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; COMPREPLY=(); _lockstep; echo "\${COMPREPLY[*]}"`
    })
    const out = await runBy('bash', ['--norc', 'ask.sh'], { 'ask.sh': [bashCompletion(all), ...asked].join('\n') })
    expect(out.split('\n').slice(0, -1).map(sorted)).toEqual(cases.map(([, offered]) => offered.join(' ')))
  })

  it('offers values after an equals sign in bash', async () => {
    const typed = ['lockstep dataset create flights --format = p', 'lockstep init --template =']
    const asked = typed.map((line) => {
      const words = line.split(' ')
      return `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; COMPREPLY=(); _lockstep; echo "\${COMPREPLY[*]}"`
    })
    const out = await runBy('bash', ['--norc', 'ask.sh'], { 'ask.sh': [bashCompletion(all), ...asked].join('\n') })
    expect(out.split('\n')).toEqual(['parquet', 'fraud flights minimal', ''])
  })

  it('offers commands, options and values in fish', async () => {
    const asked = cases.map(([typed]) => `echo (complete -C "${typed}" | string replace -r '\\t.*' '')`)
    const out = await runBy('fish', ['--no-config', 'ask.fish'], { 'ask.fish': [fishCompletion(all), ...asked].join('\n') })
    expect(out.split('\n').slice(0, -1).map(sorted)).toEqual(cases.map(([, offered]) => offered.join(' ')))
  })

  it('completes commands, options and values in zsh', async () => {
    // what can be completed in one way only, typed into an interactive shell
    const single = cases.filter(([, offered]) => offered.length === 1)
    const script = [
      'zmodload zsh/zpty',
      `zpty shell 'zsh -f -i'`,
      `zpty -w shell "PS1=; autoload -U compinit; compinit -u -D; source ${join(folder, 'lockstep.zsh')}; lockstep() { print -r -- \\"<\\$*>\\" }; print ready:\\$((1))"`,
      `zpty -r shell out '*ready:1*'`,
      ...single.flatMap(([typed]) => [`zpty -w -n shell $'${typed}\\t\\n'`, `zpty -r shell out '*<*>*'`, 'print -r -- "$out"']),
    ].join('\n')
    const out = await runBy('zsh', ['-f', 'ask.zsh'], { 'ask.zsh': script, 'lockstep.zsh': zshCompletion(all) })
    expect([...out.matchAll(/^<(.*?) ?>/gm)].map(([, line]) => line)).toEqual(
      single.map(([typed, [offered]]) => `${typed.replace(/\S*$/, '').replace(/^lockstep /, '')}${offered}`),
    )
  })

  it('is printed by the command for a shell that it knows, and refused for others', async () => {
    const { code, out } = await lockstep({}, 'completion', 'zsh')
    expect([code, out]).toEqual([0, `${zshCompletion(all)}\n`])
    expect(await lockstep({}, 'completion', 'zhs')).toMatchObject({
      code: 2,
      err: 'error USAGE: There is no completion for the shell "zhs": it can be bash, zsh or fish. Did you mean "zsh"?\n',
    })
  })
})

function sorted(words: string): string {
  return words.trim().split(/\s+/).toSorted().join(' ')
}
