import { LockstepError } from '../../kernel/errors.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import type { Command } from '../command.ts'
import type { CommandEntry } from '../commands.ts'
import { bashCompletion } from '../completion/bash.ts'
import { completedCommand } from '../completion/completed-command.ts'
import { fishCompletion } from '../completion/fish.ts'
import { zshCompletion } from '../completion/zsh.ts'
import { readHelp } from '../read-help.ts'

const shells = new Map([
  ['bash', bashCompletion],
  ['zsh', zshCompletion],
  ['fish', fishCompletion],
])

/** @param commands all commands, itself among them */
export const createCompletionCommand = (commands: readonly CommandEntry[]): Command => ({
  name: 'completion',
  summary: 'Print a script that completes commands and options in your shell',
  description: [
    'bash, in ~/.bashrc: eval "$(lockstep completion bash)"',
    'zsh, in ~/.zshrc after compinit: eval "$(lockstep completion zsh)"',
    'fish, in ~/.config/fish/config.fish: lockstep completion fish | source',
  ],
  arguments: [{ name: 'SHELL', help: 'bash, zsh or fish.' }],
  settings: false,
  example: 'lockstep completion bash',
  async run(_context, input) {
    const shell = input.argument('SHELL')
    const script = shells.get(shell)
    if (script === undefined) {
      throw new LockstepError(
        'USAGE',
        `There is no completion for the shell "${shell}": it can be bash, zsh or fish.${didYouMean(shell, shells.keys())}`,
        { details: { shell } },
      )
    }
    const text = script((await readHelp(commands)).map(completedCommand))
    return { json: { shell, script: text }, text }
  },
})
