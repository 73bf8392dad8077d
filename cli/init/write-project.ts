import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { projectManifest } from './project-manifest.ts'
import type { TemplateName } from './templates.ts'
import { templateFiles } from './templates.ts'

/** These may be there already: what is missing in them is added. */
const addedTo = ['package.json', '.gitignore']

/**
 * Writes the files of a template into a folder, which may be missing: all or none.
 *
 * @returns the paths of the files in the folder, in the order of their names
 * @throws LockstepError `FILE_EXISTS`, which names every file that is in the way; `WRITE_FAILED`
 */
export function writeProject(folder: string, template: TemplateName): readonly string[] {
  const files = new Map<string, Buffer | string>(templateFiles(template))
  const taken = [...files.keys()].filter((name) => !addedTo.includes(name) && existsSync(join(folder, name)))
  if (taken.length > 0) {
    throw new LockstepError(
      'FILE_EXISTS',
      `"${folder}" already has ${quotedNames(taken)}. Nothing was written. Name another folder, as in: lockstep init my-features`,
      { details: { folder, files: taken } },
    )
  }
  files.set('package.json', projectManifest(folder))
  const ignored = withMissingLines(join(folder, '.gitignore'), String(files.get('.gitignore')))
  files.set('.gitignore', ignored)
  writeAll(folder, files)
  return [...files.keys()].toSorted()
}

/** The text of a file with those lines of `lines` that it lacks. */
function withMissingLines(path: string, lines: string): string {
  if (!existsSync(path)) return lines
  const own = readFileSync(path, 'utf8')
  const has = new Set(own.split('\n').map((line) => line.trim().replace(/\/$/, '')))
  const missing = lines.split('\n').filter((line) => line !== '' && !has.has(line))
  return [own.replace(/(?<=[^\n])$/, '\n'), ...missing.map((line) => `${line}\n`)].join('')
}

/** On a failure, removes what it made and restores what it changed. */
function writeAll(folder: string, files: ReadonlyMap<string, Buffer | string>): void {
  const undo: (() => void)[] = []
  try {
    for (const [name, content] of files) {
      const path = join(folder, name)
      const made = mkdirSync(dirname(path), { recursive: true })
      if (made !== undefined) undo.push(() => rmSync(made, { recursive: true }))
      const before = existsSync(path) ? readFileSync(path) : null
      undo.push(() => (before === null ? rmSync(path, { force: true }) : writeFileSync(path, before)))
      writeFileSync(path, content, { mode: isProgram(content) ? 0o777 : 0o666 })
    }
  } catch (cause) {
    for (const step of undo.toReversed()) step()
    throw new LockstepError('WRITE_FAILED', `The project could not be written: ${messageOf(cause)}. Nothing of it was kept.`, {
      cause,
      details: { folder },
    })
  }
}

function isProgram(content: Buffer | string): boolean {
  return content.slice(0, 2).toString() === '#!'
}
