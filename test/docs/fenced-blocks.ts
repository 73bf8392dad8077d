/** A block between fences, such as ```` ```ts title="features.ts" ````. */
export interface Block {
  readonly language: string
  /** The file that the reader saves or changes. */
  readonly title: string | null
  readonly text: string
}

export function fencedBlocks(page: string): Block[] {
  return [...page.matchAll(/^```(\w*)(?: title="([^"]+)")?\n([^]*?)^```$/gm)].map(([, language = '', title, text = '']) => ({
    language,
    title: title ?? null,
    text,
  }))
}

/** The commands of a block. A command continues over lines while a single quote is open. */
export function shellCommands(text: string): string[] {
  const commands: string[] = []
  let open = false
  for (const line of text.trimEnd().split('\n')) {
    if (open) commands.push(`${commands.pop()}\n${line}`)
    else commands.push(line)
    open = ((commands.at(-1) ?? '').split("'").length - 1) % 2 === 1
  }
  return commands
}

/** Matches output without its white space; `…` on the page matches anything. */
export function shownPattern(text: string): RegExp {
  const parts = text
    .replaceAll(/\s/g, '')
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('.*')}$`)
}

/**
 * Applies a change to a file; `@@` separates parts that are not adjacent. @throws where the file lacks the lines before
 * the change
 */
export function applyDiff(file: string, diff: string): string {
  let changed = file
  for (const part of diff.split(/^@@\n/m)) {
    const lines = part.trimEnd().split('\n')
    const side = (dropped: string): string =>
      lines
        .filter((line) => !line.startsWith(dropped))
        .map((line) => `${line.slice(1)}\n`)
        .join('')
    const [before, after] = [side('+'), side('-')]
    if (changed.split(before).length !== 2) throw new Error(`The file does not have these lines once:\n${before}`)
    changed = changed.replace(before, () => after)
  }
  return changed
}
