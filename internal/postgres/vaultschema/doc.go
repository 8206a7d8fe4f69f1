// Package vaultschema holds the platform's tables of a virtual node's schema, as migrations.
//
// Each .sql file here runs once in every schema vnode_vault_<hash>, in the order of the names, as the owner of the
// schema, with the schema as search path. The application's role for data is given SELECT, INSERT, UPDATE and DELETE
// on every table (and USAGE on sequences) that they make; its role for migrations nothing, so that no package drops
// what the platform needs. The tables of the ledger can be changed in transactions of the platform alone: a guard tells
// them from those in which functions of applications run. Files are only added, never changed.
//
// internal/vaultdb runs them; the persistence worker uses the tables.
package vaultschema
