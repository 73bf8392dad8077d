import { z } from 'zod'

/** A version of a model, as requests name it. */
export const versionSchema = z
  .union([z.int().positive(), z.string().min(1)])
  .describe('The number of a version, or an alias that points at one')
