//go:build !wasip1

package flow

// guest tells that this is the platform's build.
const guest = false
