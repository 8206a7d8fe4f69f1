// Package integration may skip, and may define groups.
package integration

import _ "github.com/lovoo/goka"
