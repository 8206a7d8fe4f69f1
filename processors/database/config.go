package database

import (
	"cmp"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// Config holds the settings of the worker. Zero values take the defaults.
type Config struct {
	// TransactionTimeout bounds a request's transaction in Postgres. Default 8 s: below the engine's own.
	TransactionTimeout time.Duration
	// CallerTimeout bounds what is done with a database that a caller brought, migrations apart, which have Limits.Whole.
	// Default 10 s.
	CallerTimeout time.Duration
	// JobWait is how long a record waits for a job before it asks again later. Default 30 ms:
	// steps that are short end within it, and those of others go on beside long ones.
	JobWait time.Duration
	// JobPoll is how often a running job is looked at. Default 100 ms.
	JobPoll time.Duration
	// Jobs bounds the jobs that run at once. Default 4.
	Jobs int
	// Keep is how long requests and their answers are remembered. Default eight days: longer than a request lives.
	Keep time.Duration
	// Reconcile is how often database and topics are compared. Default 30 s.
	Reconcile time.Duration
	// AnySigner takes packages of every signer, and unsigned ones. For development.
	AnySigner bool
	// Limits bound the migrations of packages.
	Limits vaultdb.Limits
	// Code bounds what flows take from other parties.
	Code CodeLimits
	// Metrics counts; nil for none.
	Metrics *Metrics
}

// CodeLimits bound the packages of code that the flows of each virtual node take from other parties, bytes.
type CodeLimits struct {
	// Given bounds the parts of packages that are not whole yet. Default 128 MiB.
	Given uint64
	// Received bounds the packages that are kept. Default 512 MiB.
	Received uint64
}

// Validate tells which setting is wrong and what it may be.
func (c Config) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"TransactionTimeout", c.TransactionTimeout}, {"CallerTimeout", c.CallerTimeout}, {"JobWait", c.JobWait}, {"JobPoll", c.JobPoll}, {"Keep", c.Keep}, {"Reconcile", c.Reconcile},
		{"Limits.Statement", c.Limits.Statement}, {"Limits.Lock", c.Limits.Lock}, {"Limits.Whole", c.Limits.Whole},
	} {
		if d.value < 0 {
			return fmt.Errorf("database: %s is %s; give a positive duration, or 0 for the default", d.name, d.value)
		}
	}
	if c.Jobs < 0 {
		return fmt.Errorf("database: Jobs is %d; give 1 or more, or 0 for the default", c.Jobs)
	}
	return nil
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.TransactionTimeout, 8*time.Second)
	set(&c.CallerTimeout, 10*time.Second)
	set(&c.JobWait, 30*time.Millisecond)
	set(&c.JobPoll, 100*time.Millisecond)
	set(&c.Keep, 8*24*time.Hour)
	set(&c.Reconcile, 30*time.Second)
	limits := vaultdb.DefaultLimits()
	set(&c.Limits.Statement, limits.Statement)
	set(&c.Limits.Lock, limits.Lock)
	set(&c.Limits.Whole, limits.Whole)
	c.Code.Given, c.Code.Received = cmp.Or(c.Code.Given, 128<<20), cmp.Or(c.Code.Received, 512<<20)
	if c.Jobs == 0 {
		c.Jobs = 4
	}
	return c
}
