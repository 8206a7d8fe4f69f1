package tokens

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
)

// SettingsSection is the section of the cluster's dynamic configuration that the worker obeys: what is under "tokens".
const SettingsSection = "corda.ledger.utxo"

// Deps are what the worker is built on.
type Deps struct {
	// Log receives what an operator should see; nil for slog.Default().
	Log *slog.Logger
	// Metrics counts what happens; nil for none.
	Metrics *Metrics
}

// Rules are the settings that decide.
type Rules struct {
	// ClaimTimeoutUs is how long a claim lives, from its creation, microseconds.
	ClaimTimeoutUs int64
	// PageSize is how many tokens are asked for beside those that are claimed, and how many a claim has at most.
	PageSize int
	// CacheExpiryUs is how long tokens are known without being read anew, microseconds.
	CacheExpiryUs int64
	// BackoffMinUs and BackoffMaxUs are how long the database is not asked again after it had too few tokens: the first
	// time, and at most; microseconds.
	BackoffMinUs, BackoffMaxUs int64
}

// DefaultRules are the section's defaults.
func DefaultRules() Rules {
	return Rules{
		ClaimTimeoutUs: (10 * time.Minute).Microseconds(), PageSize: 1500, CacheExpiryUs: (10 * time.Minute).Microseconds(),
		BackoffMinUs: (500 * time.Millisecond).Microseconds(), BackoffMaxUs: time.Minute.Microseconds(),
	}
}

// MaxPageSize bounds the page size: what a page brings, and the claims of all, must fit into one transaction.
const MaxPageSize = 5000

// RulesOf reads what the section says; nil stands for its defaults.
func RulesOf(c *configv1.Configuration) (Rules, error) {
	r := DefaultRules()
	if c == nil {
		return r, nil
	}
	var v struct {
		Tokens struct {
			CachedTokenPageSize                *int   `json:"cachedTokenPageSize"`
			ClaimTimeoutSeconds                *int64 `json:"claimTimeoutSeconds"`
			TokenCacheExpiryPeriodMilliseconds *int64 `json:"tokenCacheExpiryPeriodMilliseconds"`
			DBBackoffMinPeriodMilliseconds     *int64 `json:"dbBackoffMinPeriodMilliseconds"`
			DBBackoffMaxPeriodMilliseconds     *int64 `json:"dbBackoffMaxPeriodMilliseconds"`
		} `json:"tokens"`
	}
	if err := json.Unmarshal([]byte(c.GetValue()), &v); err != nil {
		return r, fmt.Errorf("read configuration %s: %w", SettingsSection, err)
	}
	const most = int64(366 * 24 * time.Hour / time.Microsecond)
	t := v.Tokens
	if t.CachedTokenPageSize != nil {
		r.PageSize = *t.CachedTokenPageSize
	}
	for _, x := range []struct {
		from *int64
		unit time.Duration
		into *int64
	}{
		{t.ClaimTimeoutSeconds, time.Second, &r.ClaimTimeoutUs}, {t.TokenCacheExpiryPeriodMilliseconds, time.Millisecond, &r.CacheExpiryUs},
		{t.DBBackoffMinPeriodMilliseconds, time.Millisecond, &r.BackoffMinUs}, {t.DBBackoffMaxPeriodMilliseconds, time.Millisecond, &r.BackoffMaxUs},
	} {
		if x.from == nil {
			continue
		}
		unit := x.unit.Microseconds()
		if *x.from < 0 || *x.from > most/unit {
			return DefaultRules(), fmt.Errorf("configuration %s: tokens: %d is not a time from 0 to a year", SettingsSection, *x.from)
		}
		*x.into = *x.from * unit
	}
	if r.PageSize < 1 || r.PageSize > MaxPageSize {
		return DefaultRules(), fmt.Errorf("configuration %s: tokens.cachedTokenPageSize is %d; give 1 to %d", SettingsSection, r.PageSize, MaxPageSize)
	}
	if r.ClaimTimeoutUs == 0 {
		return DefaultRules(), fmt.Errorf("configuration %s: tokens.claimTimeoutSeconds is 0; give 1 or more", SettingsSection)
	}
	r.BackoffMaxUs = max(r.BackoffMaxUs, r.BackoffMinUs)
	return r, nil
}
