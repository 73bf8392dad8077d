import { LockstepError } from '../kernel/errors.ts'
import type { Definition } from './definition.ts'
import { kindNames, labelOf } from './definition.ts'
import { didYouMean } from '../kernel/did-you-mean.ts'

/** Why there is nothing of that kind and name: it is another version or of another kind, or it is spelled otherwise. */
export function unknownDefinition(definitions: readonly Definition[], kind: Definition['kind'], reference: string): LockstepError {
  const missing = `There is no ${kindNames[kind]} "${reference}" in the registry`
  const error = (message: string) =>
    new LockstepError('UNKNOWN_DEFINITION', message, { details: { kind: kindNames[kind], name: reference } })
  const same = definitions.filter((definition) => definition.kind === kind)
  const name = reference.replace(/@[^@]*$/, '')
  const versions = same.filter((definition) => definition.name === name && definition.version > 0)
  const newest = versions.toSorted((a, b) => a.version - b.version).at(-1)
  if (newest !== undefined) {
    const existing = versions.length === 1 ? 'Its only version is' : 'Its newest version is'
    return error(`${missing}. ${existing} "${labelOf(newest)}"; apply a file that declares it, or use that version.`)
  }
  const version = /@([1-9]\d{0,8})$/.exec(reference)?.[1]
  if (kind === 'model' && version !== undefined && same.some((definition) => definition.name === name))
    return error(`${missing}. Name the model "${name}", and its version in a field of its own: "version": ${version}.`)
  const other = definitions.find((definition) => [definition.name, labelOf(definition)].includes(reference))
  if (other !== undefined) return error(`${missing}: "${reference}" is ${aOrAn(other.kind)}.${servicesOf(definitions, other, kind)}`)
  if (same.length === 0) return error(`The registry has no ${kindNames[kind]} yet; apply a definitions file.`)
  const names = same.flatMap((definition) => [labelOf(definition), definition.name])
  return error(`${missing}.${didYouMean(reference, names)} Apply a file that declares it, or use another.`)
}

/** Where a service is asked for, and a view is named: the services that have its features. */
function servicesOf(definitions: readonly Definition[], view: Definition, asked: Definition['kind']): string {
  if (asked !== 'service' || (view.kind !== 'view' && view.kind !== 'onDemand')) return ''
  const services = definitions.filter(
    (definition) => definition.kind === 'service' && definition.spec.members.some((member) => nameOf(memberView(member)) === view.name),
  )
  if (services.length === 0) return ` Use a feature service that lists it; there is none yet.`
  return ` Use a feature service that lists it: ${services.map((each) => `"${labelOf(each)}"`).join(', ')}.`
}

function memberView(member: Extract<Definition, { kind: 'service' }>['spec']['members'][number]): string {
  return member.kind === 'view' ? member.use.view : member.view
}

function nameOf(id: string): string {
  return id.slice(0, id.lastIndexOf('@'))
}

function aOrAn(kind: Definition['kind']): string {
  return `${/^[aeiou]/.test(kindNames[kind]) ? 'an' : 'a'} ${kindNames[kind]}`
}
