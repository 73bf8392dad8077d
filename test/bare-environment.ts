const { PATH = '', NODE_COMPILE_CACHE = '', XDG_CACHE_HOME = '' } = process.env

/**
 * The environment of a process that has only the settings that a test adds. All processes of a test run share
 * caches (test/shared-folder.ts).
 */
export const bareEnvironment = { PATH, TZ: 'UTC', NODE_COMPILE_CACHE, XDG_CACHE_HOME } as const
