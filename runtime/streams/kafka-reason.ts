import { AuthenticationError, findErrorBy, GenericError, MultipleErrors } from '@platformatic/kafka'
import { withoutStop } from '../../kernel/errors.ts'

/** Why Kafka cannot be read or written, and what to do. */
export function kafkaReason(error: unknown): string {
  const said = (apiId: string): boolean => error instanceof Error && findErrorBy(error, 'apiId', apiId) !== null
  for (const [apiId, reason] of Object.entries(reasons)) if (said(apiId)) return reason
  const first = firstCause(error)
  const text = withoutStop(first)
  if (text.startsWith('Unknown topic')) return noTopic
  if (first instanceof AuthenticationError) return `${text}. Check the user, the password and "sasl" in LOCKSTEP_KAFKA_URL.`
  if (first instanceof Error && untrusted.test(Reflect.get(first, 'code') as string))
    return `${text}. The certificate of the brokers is not trusted: name the file of its authority, as "ca" in LOCKSTEP_KAFKA_URL (kafkas://host:9093?ca=/etc/kafka/ca.pem).`
  // so ends a connection whose client certificate is refused or missing, in TLS 1.3
  if (text === 'Connection closed')
    return 'the brokers closed the connection. Check that they run, that LOCKSTEP_KAFKA_URL begins with "kafkas" if they expect TLS, and that it names a client certificate which they trust, as "cert" and "key", if they ask for one.'
  return `${text}. Check LOCKSTEP_KAFKA_URL, that the brokers run, and that the addresses which they advertise can be reached from here.`
}

/** Whether the brokers refuse messages for their size. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof Error && ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'].some((id) => findErrorBy(error, 'apiId', id) !== null)
}

/** Codes of Node for certificates. */
const untrusted = /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_(HAS_EXPIRED|UNTRUSTED|NOT_YET_VALID)|ALTNAME_INVALID/

const tookTooLong = 'the transaction took longer than 10 s, so the brokers ended it. It is tried again.'
const noTopic = 'the topic does not exist. Create it.'

/** By the names of the protocol. */
const reasons: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: noTopic,
  INVALID_TOPIC_EXCEPTION: 'the brokers do not allow this name of a topic.',
  TOPIC_AUTHORIZATION_FAILED: 'the user may not use the topic. Grant it DESCRIBE on the topic, and READ or WRITE.',
  GROUP_AUTHORIZATION_FAILED: 'the user may not use the group. Grant it READ on the group.',
  CLUSTER_AUTHORIZATION_FAILED: 'the user may not use the cluster.',
  SASL_AUTHENTICATION_FAILED: 'the brokers refuse the user or the password. Correct LOCKSTEP_KAFKA_URL.',
  UNSUPPORTED_SASL_MECHANISM: 'the brokers do not know the SASL mechanism. Set "sasl" in LOCKSTEP_KAFKA_URL to one that they do.',
  INCONSISTENT_GROUP_PROTOCOL: 'the group is in use by readers of another kind. Name another group.',
  INVALID_GROUP_ID: 'the brokers do not allow this name of a group.',
  GROUP_MAX_SIZE_REACHED: 'the group is full. Run fewer workers, or raise group.max.size of the brokers.',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    'the user may not write in transactions. Grant it DESCRIBE and WRITE on transactional ids that begin with "lockstep-".',
  INVALID_TRANSACTION_TIMEOUT: 'the brokers allow no transaction of 10 s. Raise transaction.max.timeout.ms of the brokers.',
  INVALID_PRODUCER_EPOCH: tookTooLong,
  PRODUCER_FENCED: tookTooLong,
  ILLEGAL_GENERATION: 'the group is sharing out its partitions. It is tried again.',
  UNKNOWN_MEMBER_ID: 'the group did not hear from this process in time. It joins again.',
  INVALID_SESSION_TIMEOUT:
    'the brokers do not allow a session timeout of 30 s. Set group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers around it.',
}

/** The innermost of what an error wraps: an error of the client names only its own operation. */
function firstCause(error: unknown): unknown {
  if (error instanceof AuthenticationError) return error
  if (error instanceof MultipleErrors && error.errors.length > 0) return firstCause(error.errors.at(-1))
  if (error instanceof GenericError && error.cause !== undefined) return firstCause(error.cause)
  if (error instanceof AggregateError && error.errors.length > 0) return firstCause(error.errors.at(-1))
  return error
}
