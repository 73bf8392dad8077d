import { cutText } from '../kernel/cut-text.ts'

/** What is said on `registryChannel` to have every server load a version of a model that is to answer soon. */
export interface LoadRequest {
  readonly model: string
  readonly version: number
  /** The registry's revision that a server must have, as how a version is run is part of it. */
  readonly revision: number
  /** The channel that listens for answers. */
  readonly replyTo: string
}

/**
 * What a server says of it: at once that it is `loading`, then that it is `loaded`, or why not: `refused` where it
 * cannot be loaded, `untried` where it loads and its trial did not end, `late` where the server does not know yet, as
 * when it cannot read the registry.
 */
export interface LoadReply {
  /** The same in all that one server says; no spaces. */
  readonly server: string
  readonly state: 'loading' | 'loaded' | 'untried' | 'refused' | 'late'
  /** '': there is nothing to say. */
  readonly message: string
}

/** PostgreSQL takes notices of less than 8,000 bytes. */
const messageLength = 1000

export function loadRequestNotice({ model, version, revision, replyTo }: LoadRequest): string {
  return `load ${replyTo} ${revision} ${version} ${model}`
}

/** null: it is another notice. */
export function parseLoadRequest(notice: string): LoadRequest | null {
  const [, replyTo = '', revision = '', version = '', model = ''] = /^load (\w+) (\d{1,15}) (\d{1,9}) (\w+)$/.exec(notice) ?? []
  return replyTo === '' ? null : { model, version: Number(version), revision: Number(revision), replyTo }
}

export function loadReplyNotice({ server, state, message }: LoadReply): string {
  return `${server} ${state} ${cutText(message, messageLength)}`
}

/** null: it is none. */
export function parseLoadReply(notice: string): LoadReply | null {
  const [, server = '', state = '', message = ''] = /^(\S+) (loading|loaded|untried|refused|late) (.*)$/s.exec(notice) ?? []
  return state === '' ? null : { server, state: state as LoadReply['state'], message }
}
