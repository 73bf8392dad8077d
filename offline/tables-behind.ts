import type { Queryable } from '../runtime/postgres/relation.ts'
import { sqlText } from '../runtime/postgres/sql.ts'
import type { Explained } from './explain.ts'

/**
 * All tables that a planned query reads: those that its plan names, those of which their materialized views were made,
 * and those that functions name in a body that PostgreSQL has parsed (`BEGIN ATOMIC`).
 *
 * @returns also the functions whose bodies are text, which may read any table; those that are immutable or written in C
 *   are passed over
 */
export async function tablesBehind(
  db: Queryable,
  { relations, plan }: Pick<Explained, 'relations' | 'plan'>,
): Promise<{ readonly tables: ReadonlySet<string>; readonly functions: readonly string[] }> {
  const names = `ARRAY[${[...relations].map(sqlText).join(', ')}]::text[]`
  const rows = await db.query<{ table: string | null; function: string | null }>(`
    WITH RECURSIVE procedures AS (
      SELECT p.oid, p.proname::text AS name, p.prosqlbody IS NULL AS opaque
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
      WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND l.lanname NOT IN ('internal', 'c') AND p.provolatile <> 'i'
    ), behind AS (
      SELECT 'pg_class'::regclass::oid AS catalog, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname || '.' || c.relname = ANY(${names})
      UNION
      SELECT 'pg_proc'::regclass::oid, p.oid FROM procedures p WHERE strpos(${sqlText(plan)}, p.name || '(') > 0 OR strpos(${sqlText(plan)}, p.name || '"(') > 0
      UNION
      SELECT d.refclassid, d.refobjid FROM behind b
      LEFT JOIN pg_rewrite r ON b.catalog = 'pg_class'::regclass AND r.ev_class = b.oid
      JOIN pg_depend d ON (d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid) OR (b.catalog = 'pg_proc'::regclass AND d.classid = b.catalog AND d.objid = b.oid)
      WHERE d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
    )
    SELECT n.nspname || '.' || c.relname AS table, p.name AS function
    FROM behind b
    LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON b.catalog = 'pg_class'::regclass AND c.oid = b.oid
    LEFT JOIN procedures p ON b.catalog = 'pg_proc'::regclass AND p.oid = b.oid AND p.opaque
    WHERE c.oid IS NOT NULL OR p.oid IS NOT NULL`)
  return {
    tables: new Set([...relations, ...rows.flatMap(({ table }) => table ?? [])]),
    functions: [...new Set(rows.flatMap(({ function: name }) => name ?? []))],
  }
}
