"""`secagg audit`: what a privacy ledger says was spent, recomputed, shown and drawn."""
