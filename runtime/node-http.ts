/**
 * The parts of `node:http` that Lockstep uses. An `import` of `node:http` reads all of its exports, and one of them
 * loads the client behind `fetch` and `WebSocket`: 20 to 40 ms of processor time and 13 MB at the start of a command
 * that may not need it.
 */
export const { IncomingMessage, createServer, request } = process.getBuiltinModule('node:http')
