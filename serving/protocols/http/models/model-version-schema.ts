import { z } from 'zod'
import { versionReference } from '../../../../registry/models/pick-version.ts'

/** A version of a model, as requests name it. */
export const versionSchema = z
  .union([z.int().positive(), z.string().min(1).transform(versionReference)], {
    error: 'must be the number of a version (3, "3" or "v3") or an alias',
  })
  .describe('The number of a version (3, "3" or "v3") or an alias')
