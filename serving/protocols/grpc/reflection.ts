import type { ServerDuplexStream, ServiceDefinition } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import type { AnyDefinition, EnumTypeDefinition, MessageTypeDefinition, PackageDefinition } from '@grpc/proto-loader'

type Asked = { readonly message_request?: string } & Readonly<Record<string, unknown>>

interface ProtoFile {
  readonly name: string
  /** The full names of what the file defines. */
  readonly symbols: readonly string[]
  readonly services: readonly string[]
  /** A serialized FileDescriptorProto. */
  readonly bytes: Uint8Array
}

export interface Reflection {
  /** The service, under the names by which tools ask for it. */
  readonly services: readonly ServiceDefinition[]
  answer(call: ServerDuplexStream<Asked, unknown>): void
}

const name = 'grpc.reflection.v1.ServerReflection'

/**
 * gRPC's server reflection, by which tools such as grpcurl find services and their messages without the .proto files.
 * It shows what the repository holds, so it needs no key.
 *
 * @param definitions of the files that the server knows, the reflection's among them; none imports another
 */
export function createReflection(definitions: readonly PackageDefinition[]): Reflection {
  const files = definitions.map(fileOf)
  const service = definitions.map((definition) => definition[name]).find((each) => each !== undefined) as ServiceDefinition

  function answerTo(asked: Asked): object {
    const kind = asked.message_request
    const wanted = kind === undefined ? undefined : asked[kind]
    switch (kind) {
      case 'list_services':
        return { list_services_response: { service: files.flatMap(({ services }) => services.map((each) => ({ name: each }))) } }
      case 'file_by_filename':
        return found(files.find((file) => file.name === wanted))
      case 'file_containing_symbol':
        return found(files.find(({ symbols }) => symbols.some((symbol) => wanted === symbol || String(wanted).startsWith(`${symbol}.`))))
      case 'all_extension_numbers_of_type':
      case 'file_containing_extension':
        return refused(status.NOT_FOUND, 'There are no extensions.')
      default:
        return refused(status.INVALID_ARGUMENT, 'The request is empty.')
    }
  }

  return {
    // the messages of both are the same
    services: [service, underName(service, 'grpc.reflection.v1alpha.ServerReflection')],
    answer(call) {
      // who does not read the answers is asked for no more: each is a hundred times as long as its request
      call.on('data', (asked: Asked) => {
        if (!call.write({ original_request: asked, ...answerTo(asked) })) call.pause()
      })
      call.on('drain', () => call.resume())
      call.on('end', () => call.end())
    },
  }
}

function found(file: ProtoFile | undefined): object {
  return file === undefined
    ? refused(status.NOT_FOUND, 'There is no such file or symbol; list_services lists the services.')
    : { file_descriptor_response: { file_descriptor_proto: [file.bytes] } }
}

function refused(code: status, message: string): object {
  return { error_response: { error_code: code, error_message: message } }
}

function fileOf(definition: PackageDefinition): ProtoFile {
  const symbols = Object.keys(definition)
  const types = Object.values(definition).filter((each) => isType(each))
  const bytes = types[0]?.fileDescriptorProtos[0] ?? Buffer.alloc(0)
  return {
    // its first field: the tag, the length, the text
    name: bytes.toString('utf8', 2, 2 + (bytes[1] ?? 0)),
    symbols,
    services: symbols.filter((symbol) => !isType(definition[symbol])),
    bytes,
  }
}

function isType(each: AnyDefinition | undefined): each is MessageTypeDefinition<object, object> | EnumTypeDefinition {
  return each !== undefined && Array.isArray(each['fileDescriptorProtos'])
}

function underName(service: ServiceDefinition, other: string): ServiceDefinition {
  return Object.fromEntries(Object.entries(service).map(([method, each]) => [method, { ...each, path: each.path.replace(name, other) }]))
}
