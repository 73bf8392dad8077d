/** The columns that Lockstep keeps for itself in the tables that it makes. */
export const ownedColumnNames: readonly string[] = ['_row', '_xid', '_event_id', '_online_only']
