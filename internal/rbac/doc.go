// Package rbac decides who a caller is and what the caller may do.
//
// It is pure: users, roles, permissions and credentials come in as messages, decisions go out. The REST worker
// calls it for every request; internal/devenv calls [Hash] when it makes its users.
//
// Always true: an unknown or disabled user may do nothing; one matching DENY outweighs every ALLOW; what no
// permission allows is refused; a pattern must match its whole subject.
package rbac
