import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { ChannelSpec, EnvironmentName } from '../monitor-spec.ts'
import type { Description } from './definition.ts'
import { checkBody, define, describe } from './definition.ts'
import { checkName } from './names.ts'
import type { Severity } from './severity.ts'
import { severities } from './severity.ts'
import { parseSmtpUrl } from './smtp-url.ts'
import { bareAddress, maxRecipients, namedAddress } from './mail-address.ts'

/** A receiver of alerts. */
export interface Channel<N extends string = string> {
  readonly kind: 'channel'
  readonly name: N
  readonly spec: ChannelSpec
  readonly described: Description
}

interface CommonOptions {
  /** Which alerts it takes. Default: all. */
  readonly severities?: readonly Severity[]
  /** Whether the alerts of default monitors go there. Default: true. */
  readonly defaults?: boolean
}

/** Secrets stay out of definitions: they name the environment variables of the workers that hold them. */
export type ChannelOptions = CommonOptions &
  (
    | { readonly kind: 'webhook'; readonly url: string | EnvironmentName; readonly secret: EnvironmentName }
    | { readonly kind: 'slack'; readonly url: EnvironmentName }
    | { readonly kind: 'pagerduty'; readonly routingKey: EnvironmentName; readonly url?: string | EnvironmentName }
    | { readonly kind: 'alertmanager'; readonly url: string | EnvironmentName }
    | {
        readonly kind: 'email'
        /** Of the SMTP server: `smtps://USER:PASSWORD@HOST`, or `smtp://…` for STARTTLS. */
        readonly url: string | EnvironmentName
        /** `alerts@example.com`, or `Lockstep <alerts@example.com>` */
        readonly from: string
        readonly to: readonly string[]
      }
  )

const common = ['kind', 'url', 'severities', 'defaults']
/** The fields of each kind. */
const fieldsOf: Readonly<Record<ChannelOptions['kind'], readonly string[]>> = {
  webhook: [...common, 'secret'],
  slack: common,
  pagerduty: [...common, 'routingKey'],
  alertmanager: common,
  email: [...common, 'from', 'to'],
}
const kinds = Object.keys(fieldsOf)
const pagerDutyUrl = 'https://events.pagerduty.com/v2/enqueue'

/**
 * Declares where alerts are sent.
 *
 * @example export const oncall = channel('oncall', { kind: 'pagerduty', routingKey: { env: 'PAGERDUTY_KEY' } })
 * @throws LockstepError `INVALID_NAME`, `DEFINITIONS_INVALID`
 */
export function channel<const N extends string>(name: N, body: ChannelOptions & Description): Channel<N> {
  const what = `The channel "${checkName(name, 'A channel')}"`
  if (typeof body !== 'object' || body === null || !kinds.includes(body.kind))
    throw invalid(`${what} has no known kind; write one of ${kinds.join(', ')}, as in { kind: 'slack', url: { env: 'SLACK_URL' } }.`)
  checkBody(body, what, fieldsOf[body.kind])
  const rest = { name, severities: severitiesOf(body.severities, what), defaults: body.defaults ?? true }
  return define({ kind: 'channel', name, spec: Object.freeze(specOf(body, rest, what)), described: describe(body, what) })
}

function specOf(body: ChannelOptions, rest: Pick<ChannelSpec, 'name' | 'severities' | 'defaults'>, what: string): ChannelSpec {
  switch (body.kind) {
    case 'webhook':
      return { ...rest, kind: 'webhook', url: urlOf(body.url, what), secret: environmentName(body.secret, 'secret', what) }
    case 'slack':
      // the URL of an incoming webhook is a secret itself
      return { ...rest, kind: 'slack', url: environmentName(body.url, 'url', what) }
    case 'pagerduty': {
      const routingKey = environmentName(body.routingKey, 'routingKey', what)
      return { ...rest, kind: 'pagerduty', url: urlOf(body.url ?? pagerDutyUrl, what), routingKey }
    }
    case 'alertmanager':
      return { ...rest, kind: 'alertmanager', url: urlOf(body.url, what) }
    case 'email':
      return { ...rest, kind: 'email', url: smtpUrlOf(body.url, what), from: senderOf(body.from, what), to: recipientsOf(body.to, what) }
    default:
      return body satisfies never
  }
}

function urlOf(url: string | EnvironmentName, what: string): ChannelSpec['url'] {
  if (typeof url !== 'string') return environmentName(url, 'url', what)
  if (URL.canParse(url)) {
    const { protocol, username, password } = new URL(url)
    if (username !== '' || password !== '')
      throw invalid(`${what} has a URL with a password; put the URL into an environment variable, as in url: { env: 'ALERT_URL' }.`)
    if (protocol === 'https:' || protocol === 'http:') return url
  }
  throw invalid(
    `${what} has the url ${show(url)}; write one that begins with https://, or the name of a variable, as in url: { env: 'ALERT_URL' }.`,
  )
}

function smtpUrlOf(url: string | EnvironmentName, what: string): ChannelSpec['url'] {
  if (typeof url !== 'string') return environmentName(url, 'url', what)
  const { auth } = parseSmtpUrl(url, (fault) => invalid(`${what} has a wrong url: ${fault}.`))
  if (auth === null) return url
  throw invalid(`${what} has a URL with a password; put the URL into an environment variable, as in url: { env: 'SMTP_URL' }.`)
}

function senderOf(from: unknown, what: string): string {
  if (typeof from === 'string' && namedAddress.test(from)) return from
  throw invalid(`${what} has the sender ${show(from)}; write an address, as in from: 'Lockstep <alerts@example.com>'.`)
}

function recipientsOf(to: unknown, what: string): string[] {
  const wrong = Array.isArray(to) ? to.find((each) => typeof each !== 'string' || !bareAddress.test(each)) : to
  if (wrong !== undefined || !Array.isArray(to) || to.length === 0)
    throw invalid(`${what} has the recipient ${show(wrong)}; write a list of addresses, as in to: ['oncall@example.com'].`)
  if (to.length > maxRecipients) throw invalid(`${what} has ${to.length} recipients, more than ${maxRecipients}; name a mailing list.`)
  return [...new Set<string>(to)]
}

function environmentName(given: unknown, field: string, what: string): EnvironmentName {
  const env: unknown = typeof given === 'object' && given !== null && 'env' in given ? given.env : undefined
  if (typeof env === 'string' && /^[A-Z_][A-Z0-9_]{0,127}$/.test(env) && !env.startsWith('LOCKSTEP_')) return Object.freeze({ env })
  if (typeof env === 'string' && env.startsWith('LOCKSTEP_'))
    throw invalid(`${what} takes its ${field} from "${env}"; the variables of Lockstep itself are not sent to anybody. Use another name.`)
  const fault = given === undefined ? `needs a ${field}` : `has a wrong ${field}`
  throw invalid(
    `${what} ${fault}: secrets stay out of definitions. Write the name of an environment variable in capitals, as in ${field}: { env: 'ONCALL_KEY' }.`,
  )
}

function severitiesOf(given: readonly Severity[] | undefined, what: string): Severity[] {
  if (given === undefined) return [...severities]
  if (Array.isArray(given) && given.length > 0 && given.every((each) => severities.includes(each))) return [...new Set(given)]
  throw invalid(`${what} has the severities ${show(given)}; write a list of ${severities.join(' and ')}.`)
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
