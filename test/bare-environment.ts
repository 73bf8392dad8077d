const { PATH = '', NODE_COMPILE_CACHE = '', XDG_CACHE_HOME = '' } = process.env

/**
 * The environment of a process that has only the settings that a test adds. All processes of a test run share
 * caches (test/shared-folder.ts).
 */
export const bareEnvironment = { PATH, TZ: 'UTC', NODE_COMPILE_CACHE, XDG_CACHE_HOME } as const

/**
 * Options of Node for the processes of tests. V8 optimizes no WebAssembly: most processes end before that pays, and the
 * embedded database's largest function alone takes a second of processor time and 600 MB.
 */
export const nodeOptions: readonly string[] = ['--liftoff-only']
