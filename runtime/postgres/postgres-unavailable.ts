import { LockstepError, messageOf, withoutStop } from '../../kernel/errors.ts'
import { sqlState } from './relation.ts'
import { tlsFailureOf, tlsMessage } from '../tls-failure.ts'

const tooManyConnections = '53300'
/** The role may not do something. */
const insufficientPrivilege = '42501'
/** The remedy for too many connections. */
export const moreConnections = 'Allow more connections there, or run fewer processes.'
/** The error message of pg for a connection timeout. */
export const silentText = 'timeout expired'

const unavailableCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  tooManyConnections,
  '57P01', // shut down by the administrator
  '57P02', // crash of another session
  '57P03', // starting up
  '57P05', // idle for too long
])

const unavailableMessages = [
  /^Connection terminated/,
  /^timeout expired/,
  /^Client has encountered a connection error/,
  /^Client was closed/,
  /^Query read timeout/,
]

/** Whether an error means that the server is unavailable, not that a statement is wrong. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string') {
    // a statement's own fault, such as a parameter without a value; proxies tell their failures by the same code, as
    // fatal
    if (error.code === '08P01' && 'severity' in error && error.severity === 'ERROR') return false
    if (unavailableCodes.has(error.code) || error.code.startsWith('08')) return true
  }
  return unavailableMessages.some((pattern) => pattern.test(error.message))
}

/** Whether the server, the database or the user has as many connections as it may: the error, or what caused it. */
export function isTooManyConnections(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isTooManyConnections)
  return error instanceof Error && (('code' in error && error.code === tooManyConnections) || isTooManyConnections(error.cause))
}

/** Whether a server did not answer in time, or one of several. */
export function isSilent(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isSilent)
  return error instanceof Error && (error.message.startsWith(silentText) || isSilent(error.cause))
}

/** Makes a `POSTGRES_UNAVAILABLE` error that names the server as host:port, without user and password. */
export function postgresUnavailable(server: string, cause: unknown): LockstepError {
  return new LockstepError('POSTGRES_UNAVAILABLE', `PostgreSQL at "${server}" cannot be used: ${reasonOf(cause)}. ${remedyOf(cause)}`, {
    cause,
    details: { server },
  })
}

/** The failure of each of several servers. */
export function failureOfAll(failures: readonly { readonly server: string; readonly error: unknown }[]): unknown {
  const errors = failures.map(({ error }) => error)
  if (errors.length === 1) return errors[0]
  return new AggregateError(errors, failures.map(({ server, error }) => `${server}: ${reasonOf(error)}`).join('; '))
}

/** Of a server that is passed over, because another one may be the primary. */
export function readOnlyServer(): Error {
  return Object.assign(new Error('it accepts no writes'), { code: '25006' })
}

function remedyOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message !== '') {
    const broken = cause.errors.filter((error) => sqlState(error) !== '25006')
    const remedies = new Set((broken.length > 0 ? broken : cause.errors).map(remedyOf))
    // one that is down needs no more, once another has what to correct
    if (remedies.size > 1) remedies.delete(startIt)
    const remedy = [...remedies].join(' ')
    return remedy === startIt && broken.length < cause.errors.length ? startPrimary : remedy
  }
  if (isTooManyConnections(cause)) return moreConnections
  if (isOutOfFiles(cause)) return 'This process has as many open files as it may: raise "ulimit -n".'
  if (!(cause instanceof Error)) return startIt
  if (cause.message.startsWith('unsupported startup parameter'))
    return 'Set pool_mode = session and ignore_startup_parameters = options in PgBouncer, or set LOCKSTEP_POSTGRES_URL to PostgreSQL itself.'
  // a full disk keeps it from starting a session
  return refusalOf(cause)?.remedy ?? tlsRemedyOf(cause) ?? obstacleOf(cause)?.remedy ?? startIt
}

const startIt = 'Start it, or correct LOCKSTEP_POSTGRES_URL.'
const startPrimary = 'Start the primary, promote a standby, or correct LOCKSTEP_POSTGRES_URL.'
const nameCertificate = 'name its files in LOCKSTEP_POSTGRES_URL: "sslcert=/path/client.crt" and "sslkey=/path/client.key".'

interface Refusal {
  /** Absent: what the server says. */
  readonly reason?: string
  readonly remedy: string
}

/** A server that answers and lets nobody in; null: for another reason. */
function refusalOf(cause: Error): Refusal | null {
  // the client's own error, and the server's to a client that sends none; by MD5 it is that of a wrong password
  if (/^SASL: .*client password must be a|^empty password returned by client/.test(cause.message))
    return {
      reason: 'it requires a password, and got none',
      remedy: 'Put the password into LOCKSTEP_POSTGRES_URL, as in postgres://user:password@host:5432/database.',
    }
  switch (sqlState(cause)) {
    case '28P01':
      return { remedy: 'Correct the user and the password in LOCKSTEP_POSTGRES_URL.' }
    case '28000':
      return { remedy: whatAllows(cause.message) }
    case '3D000':
      return { remedy: 'Create it, or correct LOCKSTEP_POSTGRES_URL.' }
    default:
      return null
  }
}

function whatAllows(message: string): string {
  if (message.startsWith('certificate authentication'))
    return 'The common name (CN) of the client certificate must be the user in LOCKSTEP_POSTGRES_URL, or a map of PostgreSQL (pg_ident.conf) must allow it.'
  if (message.includes('client certificate')) return `For a client certificate, ${nameCertificate}`
  if (!message.includes('pg_hba.conf')) return 'Correct the user in LOCKSTEP_POSTGRES_URL.'
  const tls = message.endsWith('SSL encryption')
    ? 'If it allows them without TLS only, remove "sslmode" from'
    : 'If it allows them by TLS only, add "sslmode=verify-full" to'
  return `Allow this user, database and host in the pg_hba.conf of PostgreSQL. ${tls} LOCKSTEP_POSTGRES_URL.`
}

function tlsRemedyOf(cause: Error): string | null {
  if (cause.message === noTls)
    return 'Remove "sslmode" from LOCKSTEP_POSTGRES_URL, and PGSSLMODE from the environment, or set up TLS in PostgreSQL (ssl = on).'
  // while the files are replaced; when it starts, Lockstep checks them
  if ('syscall' in cause && (cause.syscall === 'open' || cause.syscall === 'read') && 'code' in cause && !isUnavailable(cause))
    return 'LOCKSTEP_POSTGRES_URL names this file: put it back.'
  if (cause.message.startsWith('Client network socket disconnected before secure TLS'))
    return 'If it is older than PostgreSQL 17, remove "sslnegotiation=direct" from LOCKSTEP_POSTGRES_URL; else see its log.'
  switch (tlsFailureOf(cause)) {
    case 'untrusted':
      return 'Its certificate is not trusted: name the file of the authority that signed it in LOCKSTEP_POSTGRES_URL, "sslrootcert=/path/ca.pem".'
    case 'name':
      return 'Use the host name of its certificate in LOCKSTEP_POSTGRES_URL.'
    case 'expired':
      return 'Replace its certificate. If it is valid, correct the clock of this machine.'
    case 'refused':
      return `It wants a client certificate that is valid and signed by an authority in its ssl_ca_file: ${nameCertificate}`
    case 'plain':
      return 'If it does not use TLS, remove "sslmode" and "sslnegotiation" from LOCKSTEP_POSTGRES_URL.'
    default:
      return null
  }
}

/** The client's error for a server that declines TLS. */
const noTls = 'The server does not support SSL connections'

/** Whether this process, or its machine, may open no more files or connections. */
function isOutOfFiles(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'EMFILE' || cause.code === 'ENFILE')
}

function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') return reasonOf(cause.errors[0])
  if (!(cause instanceof Error)) return String(cause)
  if (cause.message.startsWith(silentText) || cause.message.startsWith('Query read timeout')) return 'it does not answer in time'
  if (cause.message === noTls) return 'it does not use TLS'
  return refusalOf(cause)?.reason ?? withoutStop(tlsMessage(cause).trim())
}

interface Obstacle {
  readonly problem: string
  readonly remedy: string
}

/** Of a standby, or of a database or role that is set to read only. */
export const readOnlyObstacle: Obstacle = {
  problem: 'accepts no writes',
  remedy: 'Set LOCKSTEP_POSTGRES_URL to the primary, or make the database writable.',
}

/** Why a PostgreSQL that answers cannot do its work, and what to do; null: for another reason. */
export function obstacleOf(error: unknown): Obstacle | null {
  switch (sqlState(error)) {
    case '25006':
      return readOnlyObstacle
    case '53100':
      return { problem: 'has no free disk space', remedy: 'Free some on its disk.' }
    case '57014':
      return {
        problem: 'cancelled a statement',
        remedy: "If it took too long, raise the role's statement_timeout: ALTER ROLE … SET statement_timeout = 0.",
      }
    case '55P03':
      return {
        problem: 'gave up waiting for a lock',
        remedy: 'Try again. If the role has a lock_timeout, raise it: ALTER ROLE … SET lock_timeout = 0.',
      }
    default:
      return null
  }
}

/** The error as commands report it. */
export function asLockstepError(error: unknown): LockstepError {
  if (error instanceof LockstepError) return error
  const message = messageOf(error)
  const obstacle = obstacleOf(error)
  if (sqlState(error) === insufficientPrivilege)
    return new LockstepError('INTERNAL', `${message}. Run "lockstep doctor", which prints the grants that the role lacks.`, {
      cause: error,
    })
  if (obstacle === null) return new LockstepError('INTERNAL', message, { cause: error })
  return new LockstepError('POSTGRES_UNAVAILABLE', `The database ${obstacle.problem}: ${message}. ${obstacle.remedy}`, { cause: error })
}
