/**
 * A text as one word of a shell's command. Clients choose entities' keys and the ids of requests: a command that is
 * copied from a page must not run what is in them.
 */
export function shellText(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
