import { nodeNames } from '../../registry/find/entry.ts'
import type { Found } from '../../registry/find/search.ts'
import { maxFound } from '../../registry/find/search.ts'
import type { Command } from '../command.ts'
import { finderOf } from '../find/finder.ts'
import { counted, shortId } from '../text/human.ts'
import { serverOption } from '../remote/server-option.ts'
import { tableOf } from '../text/table.ts'

const defaultLimit = 20

export const searchCommand: Command = {
  name: 'search',
  summary: 'Search names, features, columns, tags, owners, descriptions and transforms',
  description: [
    'Prints the best results first: the exact name, then names that begin with the text, names with it as a word, other fields. If nothing has the text, it finds similar names. With several words, a result must have each of them.',
  ],
  arguments: [{ name: 'TEXT', help: 'The text to find, in any case.', takes: 'some' }],
  options: {
    limit: { value: 'N', help: `The maximum number of results. Default: ${defaultLimit}.` },
    server: serverOption,
  },
  example: 'lockstep search delay',
  async run(context, input) {
    const text = input.arguments('TEXT').join(' ')
    const limit = input.count('limit', 1, maxFound) ?? defaultLimit
    const results = await finderOf(context, input).search(text, Math.min(maxFound, limit + 1))
    const shown = results.slice(0, limit)
    return { json: { results: shown }, text: resultsText(text, shown, results.length > limit, context.terminal.width) }
  },
}

function resultsText(text: string, results: readonly Found[], isCut: boolean, width: number | null): string {
  if (results.length === 0) return `Nothing is found for ${JSON.stringify(text)}. "lockstep list" lists everything.`
  const columns: readonly (readonly [string, (found: Found) => string])[] = [
    ['KIND', ({ kind }) => (kind === 'feature' ? 'feature' : nodeNames[kind])],
    ['NAME', ({ name, view }) => (view === null ? shortId(name) : `${name} of ${view}`)],
    ['OWNER', ({ owner }) => owner ?? ''],
    ['ABOUT', aboutText],
  ]
  const more = isCut ? [`There are more than ${counted(results.length, 'result')}; --limit N shows more.`] : []
  return [tableOf(columns, results, width), ...more].join('\n')
}

/** Where the text was found, if it is not the name. */
function aboutText({ kind, matched, text, about, description }: Found): string {
  if (matched === 'description') return text
  const said = kind === 'feature' || description === null ? about : description
  // the registry has its compiled form, which nobody wrote
  if (matched === 'code') return 'in its transform'
  return matched === 'name' ? said : `${matched}: ${text}`
}
