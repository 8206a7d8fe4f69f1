package clusterdb

import (
	"context"
	"fmt"

	"github.com/fairleadio/fairlead/internal/postgres"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
)

// User returns a user with the credential, nil when there is none, and locks the row.
func User(ctx context.Context, q postgres.Queryer, login string) (*rbacv1.User, *rbacv1.Credential, error) {
	u, c := &rbacv1.User{LoginName: login}, &rbacv1.Credential{LoginName: login}
	err := q.One(ctx, []any{&u.FullName, &u.Enabled, &u.ParentGroup, &c.PasswordHash, &u.PasswordExpiresAtUs, &u.Version, &c.Version, &u.UpdatedAtUs},
		`SELECT full_name, enabled, parent_group, password_hash, password_expires_at, version, credential_version, updated_at
		 FROM rbac_user WHERE login_name = $1 FOR UPDATE`, login)
	if u, err = found(u, err); u == nil {
		return nil, nil, err
	}
	c.ExpiresAtUs = u.PasswordExpiresAtUs
	err = q.Each(ctx, func(r postgres.Row) error {
		var id string
		var since int64
		if err := r.Scan(&id, &since); err != nil {
			return fmt.Errorf("read a user's role: %w", err)
		}
		u.RoleIds, u.RoleSinceUs = append(u.RoleIds, id), append(u.RoleSinceUs, since)
		return nil
	}, "SELECT role_id, since FROM rbac_user_role WHERE login_name = $1 ORDER BY place", login)
	return u, c, err
}

// PutUser writes a user, and the credential when it is not nil.
func PutUser(ctx context.Context, q postgres.Queryer, u *rbacv1.User, c *rbacv1.Credential) error {
	if c != nil {
		_, err := q.Exec(ctx, `INSERT INTO rbac_user (login_name, full_name, enabled, parent_group, password_hash, password_expires_at, version, credential_version, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (login_name) DO UPDATE SET full_name = $2, enabled = $3, parent_group = $4,
			password_hash = $5, password_expires_at = $6, version = $7, credential_version = $8, updated_at = $9`,
			u.GetLoginName(), u.GetFullName(), u.GetEnabled(), u.GetParentGroup(), c.GetPasswordHash(), u.GetPasswordExpiresAtUs(), int64(u.GetVersion()),
			int64(c.GetVersion()), u.GetUpdatedAtUs())
		if err != nil {
			return err
		}
	} else {
		_, err := q.Exec(ctx, "UPDATE rbac_user SET full_name = $2, enabled = $3, parent_group = $4, password_expires_at = $5, version = $6, updated_at = $7 WHERE login_name = $1",
			u.GetLoginName(), u.GetFullName(), u.GetEnabled(), u.GetParentGroup(), u.GetPasswordExpiresAtUs(), int64(u.GetVersion()), u.GetUpdatedAtUs())
		if err != nil {
			return err
		}
	}
	if _, err := q.Exec(ctx, "DELETE FROM rbac_user_role WHERE login_name = $1", u.GetLoginName()); err != nil {
		return err
	}
	for i, id := range u.GetRoleIds() {
		if _, err := q.Exec(ctx, "INSERT INTO rbac_user_role (login_name, role_id, place, since) VALUES ($1, $2, $3, $4)", u.GetLoginName(), id, i, u.GetRoleSinceUs()[i]); err != nil {
			return err
		}
	}
	return nil
}

// Role returns a role, nil when there is none, and locks the row.
func Role(ctx context.Context, q postgres.Queryer, id string) (*rbacv1.Role, error) {
	role := &rbacv1.Role{Id: id}
	err := q.One(ctx, []any{&role.Name, &role.GroupVisibility, &role.Version, &role.UpdatedAtUs},
		"SELECT name, group_visibility, version, updated_at FROM rbac_role WHERE id = $1 FOR UPDATE", id)
	if role, err = found(role, err); role == nil {
		return nil, err
	}
	err = q.Each(ctx, func(r postgres.Row) error {
		var permission string
		var since int64
		if err := r.Scan(&permission, &since); err != nil {
			return fmt.Errorf("read a role's permission: %w", err)
		}
		role.PermissionIds, role.PermissionSinceUs = append(role.PermissionIds, permission), append(role.PermissionSinceUs, since)
		return nil
	}, "SELECT permission_id, since FROM rbac_role_permission WHERE role_id = $1 ORDER BY place", id)
	return role, err
}

// RoleNamed tells whether a role of this name is visible to this group.
func RoleNamed(ctx context.Context, q postgres.Queryer, name, group string) (bool, error) {
	var is bool
	err := q.One(ctx, []any{&is}, "SELECT EXISTS (SELECT FROM rbac_role WHERE name = $1 AND group_visibility = $2)", name, group)
	return is, err
}

// PutRole writes a role.
func PutRole(ctx context.Context, q postgres.Queryer, r *rbacv1.Role) error {
	_, err := q.Exec(ctx, `INSERT INTO rbac_role (id, name, group_visibility, version, updated_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET name = $2, group_visibility = $3, version = $4, updated_at = $5`,
		r.GetId(), r.GetName(), r.GetGroupVisibility(), int64(r.GetVersion()), r.GetUpdatedAtUs())
	if err != nil {
		return err
	}
	if _, err := q.Exec(ctx, "DELETE FROM rbac_role_permission WHERE role_id = $1", r.GetId()); err != nil {
		return err
	}
	for i, id := range r.GetPermissionIds() {
		if _, err := q.Exec(ctx, "INSERT INTO rbac_role_permission (role_id, permission_id, place, since) VALUES ($1, $2, $3, $4)", r.GetId(), id, i, r.GetPermissionSinceUs()[i]); err != nil {
			return err
		}
	}
	return nil
}

// Permission returns a permission, nil when there is none.
func Permission(ctx context.Context, q postgres.Queryer, id string) (*rbacv1.Permission, error) {
	p := &rbacv1.Permission{Id: id}
	var effect int32
	err := q.One(ctx, []any{&effect, &p.Pattern, &p.VnodeShortHash, &p.GroupVisibility, &p.Version, &p.UpdatedAtUs},
		"SELECT effect, pattern, vnode, group_visibility, version, updated_at FROM rbac_permission WHERE id = $1", id)
	p.Effect = rbacv1.PermissionEffect(effect)
	return found(p, err)
}

// PutPermission writes a permission.
func PutPermission(ctx context.Context, q postgres.Queryer, p *rbacv1.Permission) error {
	_, err := q.Exec(ctx, `INSERT INTO rbac_permission (id, effect, pattern, vnode, group_visibility, version, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET effect = $2, pattern = $3, vnode = $4, group_visibility = $5, version = $6, updated_at = $7`,
		p.GetId(), int32(p.GetEffect()), p.GetPattern(), p.GetVnodeShortHash(), p.GetGroupVisibility(), int64(p.GetVersion()), p.GetUpdatedAtUs())
	return err
}
