import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import type { Command } from '../command.ts'
import { templateNames } from '../init/templates.ts'
import { writeProject } from '../init/write-project.ts'

export const initCommand: Command = {
  name: 'init',
  summary: 'Write a project with sample features, rows and a model',
  description: [
    'Writes definitions, rows in data/, a trained model in models/, and the settings of a project. Existing files are never overwritten; missing lines are added to "package.json" and ".gitignore".',
    'The templates: "fraud" (payments with cards, as in the documentation), "flights" (delays between four airports), "minimal" (one view, one model).',
  ],
  arguments: [{ name: 'FOLDER', help: 'The folder of the project. Default: this folder.', takes: 'optional' }],
  options: {
    template: { value: 'NAME', choices: templateNames, help: 'The sample: fraud, flights or minimal. Default: fraud.' },
  },
  settings: false,
  example: 'lockstep init my-features --template minimal',
  run(_context, input) {
    const template = input.choice('template', templateNames) ?? templateNames[0]
    const folder = resolve(input.arguments('FOLDER')[0] ?? '.')
    const files = writeProject(folder, template)
    const isInstalled = existsSync(join(folder, 'node_modules', 'lockstep'))
    const enter = relative(process.cwd(), folder)
    const next = [[...(enter === '' ? [] : [`cd ${enter}`]), ...(isInstalled ? [] : ['npm install'])].join(' && '), 'npx lockstep dev']
    return Promise.resolve({
      json: { folder, template, files, next },
      text: [
        `Wrote the template "${template}" to ${folder}:`,
        ...files.map((file) => `  ${file}`),
        '',
        'Next:',
        ...next.filter((line) => line !== '').map((line) => `  ${line}`),
      ].join('\n'),
    })
  },
}
