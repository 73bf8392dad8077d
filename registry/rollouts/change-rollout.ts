import { randomBytes } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Catalog, CatalogModel } from '../catalog.ts'
import { loadCatalog } from '../catalog.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { judgingOutcomes } from '../judging-outcomes.ts'
import type { LoadOnServersOptions } from '../models/load-on-servers.ts'
import { loadOnServers } from '../models/load-on-servers.ts'
import { championAlias } from '../models/model-aliases.ts'
import type { VersionReference } from '../models/pick-version.ts'
import { pickVersion } from '../models/pick-version.ts'
import { pointAlias } from '../models/promote.ts'
import { requireServable } from '../models/require-servable.ts'
import { checkTrainedOn, trainingSetOf } from '../models/trained-features.ts'
import { checkCandidate } from './check-candidate.ts'
import { checkPlan } from './check-plan.ts'
import { recordDecision } from './decisions.ts'
import { defaultGates, namedPlan } from './named-plans.ts'
import type { PlanName, RolloutPlan } from './plan-schema.ts'
import { parsePlan, planNames } from './plan-schema.ts'
import { rolloutOf } from './rollout.ts'
import type { RolloutChange } from './rollout-transaction.ts'
import { changeRollout, endRollout, auditedRouting, runningRollout, subjectOf, updateRollout } from './rollout-transaction.ts'
import { unmaterializedViews } from './unmaterialized-views.ts'

export interface RolloutStart {
  readonly version: VersionReference
  /** From 0 to 1. Absent: that of the first step of the plan. */
  readonly share?: number | undefined
  /**
   * The steps and gates by which a controller changes the share, or the name of a plan. Absent: the share is changed by
   * hand.
   */
  readonly plan?: unknown
  /** A field of the entities, or `requestUnit`. Absent: the first key column. */
  readonly unit?: string | undefined
  /** Rolls out a version even if it was trained on other features than it is served with. */
  readonly datasetMismatch?: boolean | undefined
}

export interface StartOptions extends Omit<LoadOnServersOptions, 'untried'>, ChangeOptions {
  /** Whether webhooks of gates may have private addresses. Default: false. */
  readonly allowPrivate?: boolean
}

/**
 * Gives a candidate a share of the requests that name no version. All servers load it first.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `INVALID_REQUEST` for the share, the plan or the unit; `FORBIDDEN` for a
 *   webhook with a private address; `IN_USE` if the model has a rollout; `NOT_PROMOTABLE` if the candidate cannot be
 *   served, or a server cannot load it; `DATASET_MISMATCH`
 */
export async function startRollout(
  db: Database,
  name: string,
  { version: wanted, share, plan: stated, unit, datasetMismatch = false }: RolloutStart,
  by: Actor,
  { allowPrivate = false, ...options }: StartOptions = {},
): Promise<RolloutChange> {
  if (share !== undefined) checkShare(share)
  const catalog = await loadCatalog(db)
  const model = catalog.model(name)
  refuseSecond(model)
  const picked = pickVersion(model, wanted)
  const { version } = picked
  checkCandidate(catalog, model, version, unit)
  const plan = stated === undefined ? null : planOf(catalog, model, stated, allowPrivate)
  const first = firstShare(share, plan)
  const dataset = await trainingSetOf(db.kysely, picked)
  if (dataset !== null) {
    const { binding } = requireServable(catalog, model, version, 'it was not rolled out')
    const served = { model: name, service: picked.service, serviceFingerprint: picked.serviceFingerprint, binding }
    const allow = 'roll it out with --dataset-mismatch, or "datasetMismatch": true over HTTP'
    await checkTrainedOn(db.kysely, dataset, served, { allowed: datasetMismatch, allow })
  }
  const servers = await loadOnServers(db, name, { version, revision: catalog.revision }, options)
  options.signal?.throwIfAborted()
  const change = await changeRollout(db, name, options, async (now, transaction) => {
    const current = now.model(name)
    refuseSecond(current)
    const row = await transaction
      .insertInto('lockstep.rollouts')
      .values({
        model: name,
        version,
        state: 'running',
        share: first,
        unit: checkCandidate(now, current, version, unit),
        salt: randomBytes(8).toString('hex'),
        plan: plan === null ? null : JSON.stringify(plan),
        step: plan === null ? null : 0,
        started_by: by.actor,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    const rollout = rolloutOf(row)
    await recordDecision(transaction, null, rollout, { action: 'start', by: by.actor, reasons: reasonsOf(by) })
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.start', subject: subjectOf(rollout), after: auditedRouting(rollout) })
    return rollout
  })
  const views = await unmaterializedViews(db.kysely, catalog, picked)
  return { ...change, notes: [...change.notes, ...views.map(unmaterializedNote)], servers }
}

function unmaterializedNote(view: string): string {
  return `The candidate reads "${view}", which was never materialized, so its requests fail and the champion answers them. Materialize it: lockstep materialize ${view}`
}

function planOf(catalog: Catalog, model: CatalogModel, stated: unknown, allowPrivate: boolean): RolloutPlan {
  const isNamed = typeof stated === 'string'
  if (isNamed && !planNames.some((each) => each === stated))
    throw new LockstepError('INVALID_REQUEST', `There is no plan "${stated}". Name one of ${planNames.join(', ')}, or write a plan.`)
  const plan = isNamed
    ? namedPlan(catalog, model.name, stated as PlanName) // one of the names, as checked
    : parsePlan(stated, defaultGates(catalog, model.name))
  const judged = judgingOutcomes(catalog, model.name).map(({ spec, figures }) => ({
    name: spec.name,
    figures: figures.map(({ name }) => name),
  }))
  checkPlan({ name: model.name, outcomes: judged }, plan, allowPrivate)
  return plan
}

/** @throws LockstepError `INVALID_REQUEST` */
function firstShare(share: number | undefined, plan: RolloutPlan | null): number {
  const [step] = plan?.steps ?? []
  if (step !== undefined && share === undefined) return step.share
  if (step === undefined && share !== undefined) return share
  const both = 'A rollout has a share or a plan, and not both: the plan has the shares of its steps.'
  throw new LockstepError('INVALID_REQUEST', share === undefined ? 'Say what share the candidate gets, or name a plan.' : both)
}

/**
 * Changes the share of the running rollout.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, also if no rollout runs; `INVALID_REQUEST`
 */
export async function changeShare(
  db: Database,
  name: string,
  share: number,
  by: Actor,
  options: ChangeOptions = {},
): Promise<RolloutChange> {
  checkShare(share)
  return await changeRollout(db, name, options, async (catalog, transaction) => {
    const before = runningRollout(catalog.model(name))
    if (before.plan !== null && !before.paused)
      throw new LockstepError(
        'IN_USE',
        `The rollout of "${subjectOf(before)}" has a plan, which changes its share. Pause it first: lockstep rollout pause ${name}.`,
        { details: { model: name } },
      )
    const rollout = await updateRollout(transaction, before, { share })
    await recordDecision(transaction, before, rollout, { action: 'share', by: by.actor, reasons: reasonsOf(by) })
    const states = { before: auditedRouting(before), after: auditedRouting(rollout) }
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.share', subject: subjectOf(rollout), ...states })
    return rollout
  })
}

/** Ends the running rollout: the champion has all requests again. @throws LockstepError `UNKNOWN_DEFINITION` */
export async function abortRollout(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<RolloutChange> {
  return await changeRollout(db, name, options, async (catalog, transaction) => {
    const before = runningRollout(catalog.model(name))
    const rollout = await endRollout(transaction, before, 'aborted')
    await recordDecision(transaction, before, rollout, { action: 'abort', by: by.actor, reasons: reasonsOf(by) })
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.abort', subject: subjectOf(before), before: auditedRouting(before) })
    return rollout
  })
}

/**
 * Makes the candidate the champion and ends the rollout, in one transaction.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `NOT_PROMOTABLE`
 */
export async function promoteRollout(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<RolloutChange> {
  return await changeRollout(db, name, options, async (catalog, transaction) => {
    const model = catalog.model(name)
    const before = runningRollout(model)
    requireServable(catalog, model, before.version, 'it was not promoted')
    await pointAlias(transaction, model, championAlias, before.version, by)
    const rollout = await endRollout(transaction, before, 'promoted')
    await recordDecision(transaction, before, rollout, { action: 'promote', by: by.actor, reasons: reasonsOf(by) })
    const states = { before: auditedRouting(before), after: { version: before.version, champion: true } }
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.promote', subject: subjectOf(before), ...states })
    return rollout
  })
}

/**
 * Makes the controller leave the rollout alone. Its share stays.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `INVALID_REQUEST`
 */
export function pauseRollout(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<RolloutChange> {
  return setPaused(db, name, true, by, options)
}

/** Goes on with the present step, with the step's share and new evidence. @throws LockstepError as `pauseRollout` */
export function resumeRollout(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<RolloutChange> {
  return setPaused(db, name, false, by, options)
}

async function setPaused(db: Database, name: string, paused: boolean, by: Actor, options: ChangeOptions): Promise<RolloutChange> {
  return await changeRollout(db, name, options, async (catalog, transaction) => {
    const before = runningRollout(catalog.model(name))
    const [wanted, verb] = paused ? (['paused', 'pause'] as const) : (['running', 'resume'] as const)
    if (before.plan === null)
      throw new LockstepError(
        'INVALID_REQUEST',
        `The rollout of "${subjectOf(before)}" has no plan to ${verb}: only you change its share. Change it with lockstep rollout share ${name} 0%.`,
        { details: { model: name } },
      )
    if (before.paused === paused)
      throw new LockstepError('INVALID_REQUEST', `The plan of "${subjectOf(before)}" is ${wanted} already.`, { details: { model: name } })
    const share = before.plan.steps[before.step ?? 0]?.share ?? before.share
    const rollout = await updateRollout(transaction, before, paused ? { paused } : { paused, share })
    await recordDecision(transaction, before, rollout, { action: verb, by: by.actor, reasons: reasonsOf(by) })
    const states = { before: auditedRouting(before), after: auditedRouting(rollout) }
    await recordAudit({ kysely: transaction }, by, { action: `rollout.${verb}`, subject: subjectOf(before), ...states })
    return rollout
  })
}

function reasonsOf({ reason }: Actor): string[] {
  return reason === undefined ? [] : [reason]
}

function refuseSecond({ name, rollout }: CatalogModel): void {
  if (rollout === null) return
  throw new LockstepError(
    'IN_USE',
    `The model "${name}" has a rollout of version ${rollout.version} already. End it first: lockstep rollout promote ${name}, or lockstep rollout abort ${name}. It keeps the plan that it began with: for another plan, abort it and start it again.`,
    { details: { model: name, version: rollout.version } },
  )
}

/** @throws LockstepError `INVALID_REQUEST` */
export function checkShare(share: number): void {
  if (share >= 0 && share <= 1) return
  throw new LockstepError('INVALID_REQUEST', `The share is ${share}; it must be from 0 to 1, such as 0.05 for 5 %.`, { details: { share } })
}
