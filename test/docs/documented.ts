import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootFolder } from '../source-files.ts'

/** A command of a page, for a reader to run. */
export interface Documented {
  readonly page: string
  /** The text on the page, on one line. */
  readonly text: string
  /** Settings that stand before the command. */
  readonly env: Readonly<Record<string, string>>
  /** `lockstep` or `curl`, and its arguments, without quotes. */
  readonly words: readonly string[]
}

/**
 * The commands of a page's indented blocks, in their order: those of `lockstep` (or `npx lockstep`) and of `curl`,
 * which may go on over lines that are indented further.
 */
export function documentedCommands(page: string): Documented[] {
  const lines = readFileSync(join(rootFolder, page), 'utf8').split('\n')
  const found: string[] = []
  let open = false
  for (const line of lines) {
    if (/^ {4}((LOCKSTEP_\w+=\S+ )*(npx )?lockstep|curl) /.test(line)) {
      found.push(line.trim())
      open = true
    } else if (open && /^ {6}\S/.test(line) && isOpen(found.at(-1) ?? '')) found[found.length - 1] += ` ${line.trim()}`
    else open = false
  }
  return found.map((text) => {
    // the present moment, as a shell puts it in
    const words = wordsOf(text.replaceAll("'$(date -u +%FT%TZ)'", new Date().toISOString())).filter((word) => word !== 'npx')
    const settings = words.filter((_, i) => words.slice(0, i + 1).every((each) => /^LOCKSTEP_\w+=/.test(each)))
    const env = Object.fromEntries(
      settings.map((setting) => [setting.slice(0, setting.indexOf('=')), setting.slice(setting.indexOf('=') + 1)]),
    )
    return { page, text, env, words: words.slice(settings.length) }
  })
}

/** Whether a quote is still open. */
function isOpen(text: string): boolean {
  return (text.match(/'/g) ?? []).length % 2 === 1
}

/** Splits a command as a shell would. Text after `#` or three spaces is a comment. */
export function wordsOf(text: string): string[] {
  const words: string[] = []
  for (const [, single, double, bare, comment] of text.matchAll(/'([^']*)'|"([^"]*)"|((?:[^\s'"#]|(?<=\S)#)+)|(#|\s{3,})/g)) {
    if (comment !== undefined) break
    words.push(single ?? double ?? bare ?? '')
  }
  return words
}
