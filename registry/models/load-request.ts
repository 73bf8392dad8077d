import { cutText } from '../../kernel/values/cut-text.ts'

/** A request on `registryChannel` that every server loads a version of a model, before the version answers requests. */
export interface LoadRequest {
  readonly model: string
  readonly version: number
  /** The registry's revision that a server must have, because it includes how the version runs. */
  readonly revision: number
  /** The channel for the replies. */
  readonly replyTo: string
}

/**
 * What a server says of it: at once that it is `loading`, then that it is `loaded`, or why not: `refused` where it
 * cannot be loaded, `untried` where it loads and its trial did not end, `late` where the server does not know yet, as
 * when it cannot read the registry. A process that does not keep the model loaded says `unneeded` at once.
 */
export interface LoadReply {
  /** Identifies the server in all of its replies; no spaces. */
  readonly server: string
  readonly state: 'loading' | 'loaded' | 'untried' | 'refused' | 'late' | 'unneeded'
  /** '': no message. */
  readonly message: string
}

/** PostgreSQL limits notices to less than 8,000 bytes. */
const messageLength = 1000

export function loadRequestNotice({ model, version, revision, replyTo }: LoadRequest): string {
  return `load ${replyTo} ${revision} ${version} ${model}`
}

/** Returns null for any other notice. */
export function parseLoadRequest(notice: string): LoadRequest | null {
  const [, replyTo = '', revision = '', version = '', model = ''] = /^load (\w+) (\d{1,15}) (\d{1,9}) (\w+)$/.exec(notice) ?? []
  return replyTo === '' ? null : { model, version: Number(version), revision: Number(revision), replyTo }
}

export function loadReplyNotice({ server, state, message }: LoadReply): string {
  return `${server} ${state} ${cutText(message, messageLength)}`
}

/** Returns null if the notice is not a reply. */
export function parseLoadReply(notice: string): LoadReply | null {
  const [, server = '', state = '', message = ''] = /^(\S+) (loading|loaded|untried|refused|late|unneeded) (.*)$/s.exec(notice) ?? []
  return state === '' ? null : { server, state: state as LoadReply['state'], message }
}
