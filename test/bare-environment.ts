const { PATH = '', NODE_COMPILE_CACHE = '' } = process.env

/**
 * For a process that is to have no settings but those that are added. What Node has compiled is shared by a run of the
 * tests (test/shared-folder.ts).
 */
export const bareEnvironment = { PATH, TZ: 'UTC', NODE_COMPILE_CACHE } as const
